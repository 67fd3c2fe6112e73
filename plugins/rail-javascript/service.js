/** Parser of a region's table of services. */

import { invalidPartition } from "./failure.js";

const HEADER = "name,crs,lat,long,terminal,operator,minutes,fare";
const MOST = 2 ** 32 - 1;

// Number alone would also accept spaces, the empty string and hexadecimal digits.
const DECIMAL = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/;
const WHOLE = /^\+?[0-9]+$/;
const FARE = /^([0-9]+)\.([0-9]{2})$/;

const EARTH_RADIUS_KM = 6371;
// Charing Cross, from which distances to London are measured by custom.
const [FROM_LAT, FROM_LONG] = [radians(51.5074), radians(-0.1278)];

/** Returns the great-circle distance from Charing Cross in whole kilometres, by the haversine formula. */
export function kmFromCharingCross(latDegrees, longDegrees) {
  const [lat, long] = [radians(latDegrees), radians(longDegrees)];
  const across = Math.sin((lat - FROM_LAT) / 2);
  const along = Math.sin((long - FROM_LONG) / 2);
  const share = across * across + Math.cos(FROM_LAT) * Math.cos(lat) * (along * along);
  return Math.round(2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(Math.max(share, 0), 1))));
}

function radians(degrees) {
  return degrees * (Math.PI / 180);
}

/**
 * Parses a whole table: a header, then one service on each line, with comment lines (`#`) anywhere. Throws
 * `invalid-partition`, with the line.
 */
export function parseTable(table) {
  const lines = table.replaceAll("\r\n", "\n").split("\n");
  if (lines.at(-1) === "") lines.pop();
  const numbered = lines.map((line, at) => [at + 1, line]).filter(([, line]) => !line.startsWith("#"));
  if (numbered.length === 0) throw invalidPartition(`the table has no header \`${HEADER}\``);
  const [[number, header], ...rest] = numbered;
  if (header !== HEADER) throw invalidPartition(`line ${number}: \`${header}\` is not the header \`${HEADER}\``);
  return rest.map(([number, line]) => service(line, (reason) => invalidPartition(`line ${number}: ${reason}`)));
}

/** Parses one line. Fields contain no commas and no quotes, so a line is split at every comma. */
function service(line, wrong) {
  const fields = line.split(",");
  if (fields.length !== 8) throw wrong(`${fields.length} fields where there should be 8`);
  const [station, crs, lat, long, terminal, operator, minutes, fare] = fields;
  const number = (name, text, form, most) => {
    const value = form.test(text) ? Number(text) : NaN;
    if (!(Math.abs(value) <= most)) throw wrong(`${name} \`${text}\` is not a number`);
    return value;
  };
  return {
    station,
    crs,
    lat: number("lat", lat, DECIMAL, Number.MAX_VALUE),
    long: number("long", long, DECIMAL, Number.MAX_VALUE),
    terminal,
    operator,
    minutes: number("minutes", minutes, WHOLE, MOST),
    pence: pence(fare, wrong),
  };
}

/** Parses a fare into pence. It is split at the point, not parsed as a float, so that no fare is a penny off. */
function pence(fare, wrong) {
  const match = FARE.exec(fare);
  const amount = match ? Number(match[1]) * 100 + Number(match[2]) : NaN;
  if (!(amount <= MOST)) throw wrong(`fare \`${fare}\` is not pounds and pence such as 12.50`);
  return amount;
}

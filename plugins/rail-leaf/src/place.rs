//! Distances on the Earth.

/// Latitude and longitude of Charing Cross in degrees, from which distances to London are measured
/// by custom.
const CHARING_CROSS: (f64, f64) = (51.5074, -0.1278);
const EARTH_RADIUS_KM: f64 = 6371.0;

/// Returns the great-circle distance from Charing Cross in whole kilometres, by the haversine
/// formula.
///
/// The last bit of a sine differs between machines' libraries. Rounding hides that unless a station
/// lies on the edge between two kilometres; a test checks that none does.
pub(crate) fn km_from_charing_cross(lat: f64, long: f64) -> u32 {
    exact_km(lat, long).round() as u32
}

pub(crate) fn exact_km(lat: f64, long: f64) -> f64 {
    let from_lat = CHARING_CROSS.0.to_radians();
    let from_long = CHARING_CROSS.1.to_radians();
    let lat = lat.to_radians();
    let long = long.to_radians();
    let across = ((lat - from_lat) / 2.0).sin().powi(2);
    let along = from_lat.cos() * lat.cos() * ((long - from_long) / 2.0).sin().powi(2);
    // By rounding, the sum may be slightly below 0 or above 1, where the root or the arc sine is
    // undefined.
    2.0 * EARTH_RADIUS_KM * (across + along).clamp(0.0, 1.0).sqrt().asin()
}

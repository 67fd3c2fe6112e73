//! Distances on the globe.

/// Latitude and longitude of Charing Cross, from where distances to London are measured by custom.
const CHARING_CROSS: (f64, f64) = (51.5074, -0.1278);
const EARTH_RADIUS_KM: f64 = 6371.0;

/// The great circle from Charing Cross in whole kilometres, by the haversine formula.
///
/// Sines differ in their last bit from one machine's library to the next; rounding hides that unless a station lies on
/// the edge between two kilometres, and a test sees that none does.
pub(crate) fn km_from_charing_cross(lat: f64, long: f64) -> u32 {
    exact_km(lat, long).round() as u32
}

pub(crate) fn exact_km(lat: f64, long: f64) -> f64 {
    let (from_lat, from_long) = (CHARING_CROSS.0.to_radians(), CHARING_CROSS.1.to_radians());
    let (lat, long) = (lat.to_radians(), long.to_radians());
    let across = ((lat - from_lat) / 2.0).sin().powi(2);
    let along = from_lat.cos() * lat.cos() * ((long - from_long) / 2.0).sin().powi(2);
    // The sum may be a little below 0 or above 1, of which there is no root or no arc sine.
    2.0 * EARTH_RADIUS_KM * (across + along).clamp(0.0, 1.0).sqrt().asin()
}

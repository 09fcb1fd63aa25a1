//! What the fuzz targets share: how the cost of a request is measured, and what it may be. `tests/cost` has the same files.

#[path = "../../tests/cost/parts.rs"]
pub mod parts;
#[path = "../../tests/cost/pieces.rs"]
pub mod pieces;
#[path = "../../tests/cost/recipe.rs"]
pub mod recipe;
#[path = "../../tests/cost/rules.rs"]
pub mod rules;
#[path = "../../tests/cost/way.rs"]
pub mod way;

/// The folder of the module.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Fails where a request costs more than it may.
pub fn hold_to_rules(request: &recipe::Request) {
    let cost = way::cost(request);
    let faults = cost.faults(request.bytes());
    assert!(faults.is_empty(), "{} bytes: {faults:?}", request.bytes());
}

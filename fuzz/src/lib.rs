//! Shared by the fuzz targets: measurement and limits of the cost of a request. It uses the files of `tests/cost`.

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

/// Fails if a request costs too much.
pub fn hold_to_rules(request: &recipe::Request) {
    let cost = way::cost(request);
    let faults = cost.faults(request.bytes());
    assert!(faults.is_empty(), "{} bytes: {faults:?}", request.bytes());
}

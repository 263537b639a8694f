//! Prepares the linking of a module that Node.js loads.

fn main() {
    napi_build::setup();
}

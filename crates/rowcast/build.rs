//! Tells Cargo that the built pages are part of the binary: one that was built before them is built again.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}

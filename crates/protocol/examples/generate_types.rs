//! Writes `web/client/src/protocol.ts` from the Rust declarations.

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/client/src/protocol.ts");
    fs::create_dir_all(path.parent().expect("a file in a folder"))?;
    fs::write(&path, rowcast_protocol::typescript::module())?;
    println!("wrote {}", path.display());
    Ok(())
}

//! Writes the generated references below `docs/reference`.

fn main() -> std::io::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    for (name, text) in trustctl_tests::reference::pages() {
        std::fs::write(folder.join(name), text)?;
        println!("docs/reference/{name}");
    }
    Ok(())
}

//! Builds the dashboard's pages where they are missing or older than their sources, so that building Strongroom stays one
//! command. Without Node.js, or when the pages cannot be built, the program is built without them and says so when asked.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// What the pages are made of, below `web/`.
const SOURCES: [&str; 6] = ["src", "public", "index.html", "package-lock.json", "vite.config.ts", "tsconfig.json"];

fn main() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web");
    println!("cargo:rerun-if-changed=../../docs/openapi.json");
    println!("cargo:rerun-if-changed=../../web/dist/index.html");
    for source in SOURCES {
        println!("cargo:rerun-if-changed=../../web/{source}");
    }
    let built = modified(&web.join("dist/index.html"));
    let newest = SOURCES.iter().filter_map(|source| newest_below(&web.join(source))).max();
    if newest.is_none() || (built.is_some() && built >= newest) {
        return;
    }
    if let Err(why) = npm(&web, &["ci", "--no-audit", "--no-fund"]).and_then(|()| npm(&web, &["run", "build"])) {
        println!("cargo:warning=The dashboard was not built: {why}. The program works without its pages, and says so.");
        println!(
            "cargo:warning=Install Node.js 20.19 or newer, run `npm ci && npm run build` in web/, and build again."
        );
    }
}

fn npm(web: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("npm")
        .args(arguments)
        .current_dir(web)
        .output()
        .map_err(|error| format!("npm does not start ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("`npm {}` failed: {last}", arguments.join(" ")))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The generated description of the API is as old as the document it is made from.
fn newest_below(path: &Path) -> Option<SystemTime> {
    if path.ends_with("schema.d.ts") {
        return None;
    }
    let Ok(children) = path.read_dir() else { return modified(path) };
    children.flatten().filter_map(|child| newest_below(&child.path())).max()
}

//! Builds the page in `web/` with npm and lists its files as a Rust table, so
//! that the binary carries them. npm runs only when something that goes into the
//! page has changed; `node_modules` and generated code stay beside the sources,
//! where development finds them too, and out of git.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What goes into the page, relative to this crate.
const SOURCES: [&str; 12] = [
    "build.rs",
    "web/src",
    "web/scripts",
    "web/index.html",
    "web/package.json",
    "web/package-lock.json",
    "web/vite.config.ts",
    "web/tsconfig.json",
    "../../proto",
    "../model/data",
    "../alert/data/rule_words.csv",
    "../alert/rules/conditions.toml",
];

/// Oldest Node.js whose npm installs the tools.
const NODE_MIN: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    let (web, out) = (root.join("web"), PathBuf::from(env::var("OUT_DIR")?));
    node_is_there()?;
    install(&web)?;
    descriptors(&root, &web.join("gen"))?;
    let dist = out.join("dist");
    run(Command::new("npm")
        .args(["run", "--silent", "build"])
        .env("ENROUTE_CONSOLE_OUT", &dist)
        .current_dir(&web))?;
    fs::write(out.join("files.rs"), table(&dist)?)?;
    Ok(())
}

fn node_is_there() -> Result<(), Box<dyn Error>> {
    let version = Command::new("node").arg("--version").output();
    let version = version.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    let major = version.ok().and_then(|said| {
        let number = said.trim().trim_start_matches('v').split('.').next()?;
        number.parse::<u32>().ok()
    });
    if major.is_some_and(|major| major >= NODE_MIN) {
        return Ok(());
    }
    Err(format!(
        "the browser console is built with Node.js {NODE_MIN} or newer and its npm, and `node` is \
         not in the PATH or too old; install it (Debian: apt install nodejs npm), or build the \
         server without the console: cargo build -p enroute --no-default-features"
    )
    .into())
}

/// Installs what the lock file names, unless that is what is there.
fn install(web: &Path) -> Result<(), Box<dyn Error>> {
    let lock = fs::read(web.join("package-lock.json"))?;
    let mark = web.join("node_modules/.enroute-installed");
    if fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(web))?;
    fs::write(mark, lock)?;
    Ok(())
}

/// The contract as descriptors, for the generator of its TypeScript.
fn descriptors(root: &Path, gen_dir: &Path) -> Result<(), Box<dyn Error>> {
    let protos = root.join("../../proto");
    let mut files = Vec::new();
    walk(&protos, &mut files)?;
    files.sort();
    let set = protox::compile(files, [&protos])?;
    fs::create_dir_all(gen_dir)?;
    let bytes = protox::prost::Message::encode_to_vec(&set);
    fs::write(gen_dir.join("descriptors.bin"), bytes)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let said = command
        .output()
        .map_err(|error| format!("failed to run {command:?}: {error}"))?;
    if said.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?} failed ({}); it needs the npm registry, or a filled npm cache, the first time\n{}{}",
        said.status,
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr),
    )
    .into())
}

/// A table of all files, as Rust. Each text has its gzip twin beside it.
fn table(dist: &Path) -> Result<String, Box<dyn Error>> {
    let mut paths = Vec::new();
    walk(dist, &mut paths)?;
    paths.sort();
    let mut table = String::from("&[\n");
    for path in paths {
        let name = path.strip_prefix(dist)?.to_string_lossy().into_owned();
        let Some(kind) = content_type(&name) else {
            continue;
        };
        let place = path.to_str().ok_or("OUT_DIR is not UTF-8")?;
        let twin = format!("{place}.gz");
        let gzip = if Path::new(&twin).exists() {
            format!("Some(include_bytes!({twin:?}))")
        } else {
            "None".to_owned()
        };
        writeln!(
            table,
            "File {{ path: {:?}, content_type: {kind:?}, etag: \"\\\"{:016x}\\\"\", \
             plain: include_bytes!({place:?}), gzip: {gzip} }},",
            format!("/{name}"),
            hash(&fs::read(&path)?),
        )?;
    }
    table.push(']');
    Ok(table)
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit('.').next()? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

/// FNV-1a: tells one build's file from another's, no more.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

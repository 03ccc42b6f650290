#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use engine::config::component::ServerDatabaseSettings;
use engine::manifest::Export;
use engine::source::postgres::{ClientSettings, PostgresSource};
use engine::source::{self, Source};
use engine::target::postgres::PostgresTarget;
use engine::target::{self, Place, Target};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;
use vault::*;

struct W { out: Box<dyn Write + Send>, bytes: u64, list: Vec<(Entry, u64)> }
impl EntryWriter for W {
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> engine::Result<Outcome> {
        let mut r = content.unwrap().open().unwrap();
        let mut buf = vec![0; 256 * 1024];
        let mut n = 0;
        loop {
            let l = r.read(&mut buf).unwrap();
            if l == 0 { break }
            self.out.write_all(&buf[..l]).unwrap();
            n += l as u64;
        }
        self.list.push((entry.clone(), n));
        self.bytes += n;
        Ok(Outcome::Stored { bytes: n, padded_bytes: 0 })
    }
    fn commit(self: Box<Self>, _: &[u8]) -> engine::Result<Committed> { unreachable!() }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (url, export, sink, file) = (&args[1], &args[2], &args[3], args.get(4));
    let settings = ServerDatabaseSettings { url: url.clone(), export: None, connections: Some(2), content_hash_bytes_max: if sink.contains("nohash") { Some(0) } else { None }, drill_url: None, tools_folder: None };
    let client = ClientSettings { user: Some("postgres".into()), ..Default::default() };
    let dir = std::env::temp_dir().join("pgspeed"); let _ = std::fs::create_dir_all(&dir);
    let e = if export == "json" { Export::Json } else { Export::Native };
    let t = Instant::now();
    let ctx = source::Context { progress: &Silent, scratch: &dir, hash_key: [1; 32], started_at: jiff_now(), deduplicating: false };
    let mut src = PostgresSource::new("database", &settings, client.clone(), e);
    src.capture(&ctx).unwrap();
    println!("captured {:?}", t.elapsed());
    let mut child = None;
    let out: Box<dyn Write + Send> = if sink.starts_with("zstd") || sink.starts_with("pigz") {
        let mut c = if sink.starts_with("zstd") { Command::new("zstd") } else { Command::new("pigz") };
        if sink.starts_with("zstd") { c.args(["-3", "-T2", "-q"]); } else { c.args(["-p2"]); }
        let mut c = c.stdin(Stdio::piped()).stdout(File::create(dir.join("out")).unwrap()).spawn().unwrap();
        let i = c.stdin.take().unwrap(); child = Some(c); Box::new(i)
    } else if sink == "file" { Box::new(File::create(file.unwrap()).unwrap()) } else { Box::new(std::io::sink()) };
    let mut w = W { out, bytes: 0, list: vec![] };
    let manifest = src.read(&ctx, &mut w).unwrap();
    drop(src);
    let W { out, bytes, list } = w;
    drop(out);
    if let Some(mut c) = child { c.wait().unwrap(); }
    println!("{export} {sink}: {:?} for {} MiB", t.elapsed(), bytes >> 20);
    peak();
    if sink == "file" {
        let mut f = File::open(file.unwrap()).unwrap();
        let t = Instant::now();
        let place = Place::Database { url: args[5].clone() };
        let mut target = PostgresTarget::new("database", &settings, client.clone(), place);
        let c = target::Context { progress: &Steps(t), hash_key: [1; 32], disconnect_clients: false };
        target.inspect(&c, &manifest).unwrap();
        for (e, n) in &list { target.entry(&c, e, &mut (&mut f).take(*n)).unwrap(); }
        println!("fed {:?}", t.elapsed());
        let figures = target.finish(&c).unwrap();
        println!("restored and measured {:?}", t.elapsed());
        assert_eq!(manifest.differences(&figures), Vec::<String>::new());
        peak();
    }
}
struct Steps(Instant);
impl Progress for Steps { fn step(&self, n: &'static str) { println!("  {n} {:?}", self.0.elapsed()) } }
fn jiff_now() -> jiff::Timestamp { jiff::Timestamp::now() }
fn peak() { let s = std::fs::read_to_string("/proc/self/status").unwrap(); println!("{}", s.lines().find(|l| l.starts_with("VmHWM")).unwrap()); }

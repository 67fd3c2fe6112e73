//! smoke
use std::sync::Arc;
use std::time::{Duration, Instant};
use frond_root::*;
use frond_sandbox::*;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let slots: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let file = std::env::args().nth(3).unwrap();
    let fuel: u64 = std::env::args().nth(4).map_or(1_000_000_000, |f| f.parse().unwrap());
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let limits = Limits { fuel, ..Limits::default() };
    let mlimits = Limits { memory: 256 << 20, fuel: if fuel == 0 {0} else {10_000_000_000}, ..limits };
    let sandbox = Sandbox::new(Settings { slots, limits: vec![limits, mlimits], cache: Some("/tmp/w/cache".into()) }).unwrap();
    let t = Instant::now();
    let bytes = std::fs::read(&file).unwrap();
    let leaf = Arc::new(Plugin::load(&sandbox, &bytes, Role::Leaf, fuel > 0).unwrap());
    println!("load {:?} {:?}", t.elapsed(), leaf);
    let t = Instant::now();
    let merge = Arc::new(Plugin::load(&sandbox, &bytes, Role::Merge, fuel > 0).unwrap());
    println!("load {:?} {:?} {:?}", t.elapsed(), merge, sandbox.take_warnings());
    let pool = Slots::start(slots, sandbox.clock(), rt.handle()).unwrap();
    for _ in 0..8 {
        let plan = Plan::new((0..n).map(|i| Partition::new(format!("{}..{}", i, i + 1), bytes::Bytes::from(format!("{{\"start\":{},\"end\":{}}}", i, i + 1)))).collect()).unwrap();
        let mut request = Request::new("x", r#"{"seed":1}"#);
        request.slots = slots;
        let root = Root { runner: Arc::new(LeafHost::new(pool.clone(), leaf.clone(), limits, false)), merger: Arc::new(MergeHost(Guests::new(sandbox.clock(), merge.clone(), mlimits))), events: Events::default() };
        let t = Instant::now();
        let answer = rt.block_on(rt.spawn(async move { flow::run(request, async { Ok(plan) }, root, Cancel::default()).await })).unwrap().unwrap();
        let e = t.elapsed();
        println!("{:?} {:.2} us/leaf {} {:?} {:?}", e, e.as_secs_f64() * 1e6 / n as f64, answer.outcome(), answer.body().map(|b| String::from_utf8_lossy(b).into_owned()), answer.coverage().timings);
        if answer.outcome() == "failed" { println!("{:?}", answer); }
    }
    let _ = Duration::ZERO;
}

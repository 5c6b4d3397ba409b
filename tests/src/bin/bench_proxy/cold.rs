//! A cold pull of a signed image from a registry 20 ms away: through the proxy, which verifies it, and through a pull-through cache, which does
//! not.

use std::time::{Duration, Instant};

use trustctl_tests::failure::Failure;
use trustctl_tests::http::Request;
use trustctl_tests::latency::Latency;
use trustctl_tests::process::Server;

use crate::arena::{Arena, MANIFEST, NAME, layer};
use crate::meter::median;

const IMAGES: u64 = 9;
const ONE_WAY: Duration = Duration::from_millis(10);

/// Prints the medians.
///
/// # Errors
/// [`Failure`] when a pull fails.
pub(crate) fn contest(arena: &Arena) -> Result<(), Failure> {
    let far = Latency::start(arena.registry.server.port(), ONE_WAY)?;
    let ours = arena.fresh_proxy("cold", &far.address())?;
    let theirs = arena.fresh_pull_through("cold-pull-through", &far.address())?;
    let mut times: [Vec<f64>; 2] = Default::default();
    for image in 0..IMAGES {
        let layers: Vec<_> = (0..3).map(|n| layer(1024 * 1024, 1000 + image * 10 + n)).collect();
        let tag = format!("cold-{image}");
        arena.publish(&layers.iter().collect::<Vec<_>>(), &tag)?;
        for (server, times) in [&ours, &theirs].into_iter().zip(&mut times) {
            times.push(pull(server, &tag)?);
        }
    }
    let [ours, theirs] = times.map(median);
    println!("cold pull of a signed image of 3 layers of 1 MiB, 20 ms round trip, median of {IMAGES}:");
    println!("trustctl proxy {ours:.0} ms, docker-registry pull-through {theirs:.0} ms: {:.2}x\n", ours / theirs);
    Ok(())
}

/// Pulls as engines do: the manifest by its tag, then configuration and layers at once; milliseconds.
fn pull(server: &Server, tag: &str) -> Result<f64, Failure> {
    let (address, start) = (server.address(), Instant::now());
    let get = |rest: &str| {
        let request = Request::new("GET", &format!("/v2/{NAME}/{rest}")).header("Accept", MANIFEST);
        request.send(&address)?.expect(&request, &[200])
    };
    let manifest = get(&format!("manifests/{tag}"))?;
    let manifest: serde_json::Value =
        serde_json::from_slice(&manifest.body).map_err(|error| Failure::Output(error.to_string()))?;
    let layers = manifest.pointer("/layers").and_then(serde_json::Value::as_array).into_iter().flatten();
    let blobs = layers.chain(manifest.pointer("/config")).filter_map(|blob| blob.pointer("/digest")?.as_str());
    let blobs: Vec<&str> = blobs.collect();
    std::thread::scope(|scope| {
        let get = &get;
        let threads: Vec<_> = blobs.iter().map(|digest| scope.spawn(move || get(&format!("blobs/{digest}")).map(drop))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(Failure::Output("a thread".to_owned()))))
    })?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

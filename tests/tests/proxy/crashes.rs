//! A proxy that is killed, and what lies on its disk altered by somebody else: nothing wrong is served, and nothing is left over.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_lab::image::Artifact;
use trustctl_tests::http::Request;

use crate::stage::{Setup, Stage, refused, served};

const LAYERS: usize = 100;
const PATIENT: &str = "tag-ttl = \"0s\"\nrevocation = \"1h\"\nrefusal = \"0s\"";

/// An image of many layers, each of which takes more than one write.
fn large() -> Artifact {
    let layer = |n: usize| {
        let mut state = u64::try_from(n).unwrap() + 1;
        let mut next = || {
            // An xorshift: bytes that differ and do not repeat.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        Bytes::from((0..25_000 + n * 100).flat_map(|_| next()).collect::<Vec<u8>>())
    };
    let mut image = Artifact::image("large");
    let layers: Vec<Bytes> = (0..LAYERS).map(layer).collect();
    let mut manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
    let kind = "application/vnd.oci.image.layer.v1.tar";
    let entry = |layer: &Bytes| json!({ "mediaType": kind, "digest": Digest::sha256_of(layer), "size": layer.len() });
    manifest["layers"] = layers.iter().map(entry).collect();
    image.manifest = manifest.to_string().into();
    image.blobs.truncate(1);
    image.blobs.extend(layers);
    image
}

fn filling(stage: &Stage) -> usize {
    fs::read_dir(stage.home.path().join("state/cache/filling")).map_or(0, Iterator::count)
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A cart that is signed, its layers in the cache; their digests.
fn pulled(stage: &Stage) -> Vec<String> {
    let index: Value = serde_json::from_slice(&stage.get("shop/cart/manifests/1").body).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest: Value = serde_json::from_slice(&stage.get(&format!("shop/cart/manifests/{child}")).body).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned());
    layers.inspect(|layer| served(&stage.get(&format!("shop/cart/blobs/{layer}")), layer)).collect()
}

#[test]
fn a_proxy_that_is_killed_in_a_hundred_transfers_serves_nothing_wrong_and_leaves_nothing() {
    let setup = Setup { times: PATIENT, ..Setup::default() };
    let mut stage = Stage::new(&setup);
    let image = large();
    stage.push("shop/large:1", &image);
    stage.sign("shop/large:1");
    let manifest = stage.get("shop/large/manifests/1");
    assert_eq!(manifest.status, 200);
    let digests: Vec<String> = image.blobs.iter().map(|blob| Digest::sha256_of(blob).to_string()).collect();
    let server = stage.proxy.take().unwrap();
    let address = server.address();
    let ask = |digest: &String| Request::new("GET", &format!("/v2/shop/large/blobs/{digest}")).send(&address);
    thread::scope(|scope| {
        let pulls: Vec<_> = digests.iter().map(|digest| scope.spawn(move || (digest, ask(digest)))).collect();
        let end = Instant::now() + Duration::from_secs(30);
        while filling(&stage) == 0 {
            assert!(Instant::now() < end, "no transfer began");
            thread::yield_now();
        }
        server.kill();
        for pull in pulls {
            let (digest, answer) = pull.join().unwrap();
            // Whoever got an answer got a whole one.
            if let Ok(answer) = answer {
                served(&answer, digest);
            }
        }
    });
    let half = filling(&stage);
    stage.start(&setup);
    assert_eq!(filling(&stage), 0, "{half} files were not whole");
    for file in files(&stage.home.path().join("state/cache/sha256")) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(Digest::sha256_of(&fs::read(&file).unwrap()).hex(), name, "what is whole has its digest");
    }
    // Whoever was in the middle of a pull goes on where they were.
    for digest in &digests {
        served(&stage.get(&format!("shop/large/blobs/{digest}")), digest);
    }
    assert_eq!(stage.get("shop/large/manifests/1").body, manifest.body);
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
    stage.stop();
    stage.done(&["proxy", "audit", "verify", "state/audit.log"]);
}

#[test]
fn a_cache_that_was_altered_is_fetched_again() {
    let setup = Setup { times: PATIENT, ..Setup::default() };
    let mut stage = Stage::new(&setup);
    let layers = pulled(&stage);
    stage.stop();
    let cached = files(&stage.home.path().join("state/cache/sha256"));
    assert!(cached.len() > layers.len());
    for (place, file) in cached.iter().enumerate() {
        let mut bytes = fs::read(file).unwrap();
        match place % 3 {
            0 => bytes[0] ^= 1,
            1 => bytes.truncate(bytes.len() / 2),
            _ => bytes.clear(),
        }
        fs::write(file, bytes).unwrap();
    }
    stage.start(&setup);
    let again = pulled(&stage);
    assert_eq!(again, layers);
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
}

/// The store only saves work: without it, everything is asked for again, and a proxy starts all the same.
#[test]
fn a_store_that_was_damaged_is_set_aside_and_said() {
    let setup = Setup { times: PATIENT, ..Setup::default() };
    let mut stage = Stage::new(&setup);
    let layers = pulled(&stage);
    let state = stage.home.path().join("state");
    for is_killed in [false, true] {
        if is_killed {
            stage.proxy.take().unwrap().kill()
        } else {
            stage.stop()
        }
        assert_eq!(state.join("records.seal").exists(), !is_killed);
        let mut bytes = fs::read(state.join("records")).unwrap();
        bytes.iter_mut().step_by(512).for_each(|byte| *byte ^= 0x55);
        fs::write(state.join("records"), &bytes).unwrap();
        stage.start(&setup);
        let log = stage.proxy.as_ref().unwrap().log();
        assert!(log.contains("TC0610") && log.contains("records.damaged"), "{log}");
        assert_eq!(fs::read(state.join("records.damaged")).unwrap(), bytes, "it can be looked at");
        assert_eq!(pulled(&stage), layers);
        refused(&stage.get("shop/new/manifests/1"), "TC0301");
    }
    // A proxy that was killed, and whose store is whole, keeps it.
    stage.proxy.take().unwrap().kill();
    fs::remove_file(state.join("records.damaged")).unwrap();
    stage.start(&setup);
    assert!(!stage.proxy.as_ref().unwrap().log().contains("TC0610"));
    assert_eq!((pulled(&stage), state.join("records.damaged").exists()), (layers, false));
}

#[test]
fn a_store_that_cannot_be_read_is_refused_with_its_code() {
    let mut stage = Stage::new(&Setup::default());
    stage.stop();
    let records = stage.home.path().join("state/records");
    fs::remove_file(&records).unwrap();
    let _ = fs::remove_file(stage.home.path().join("state/records.seal"));
    fs::create_dir(&records).unwrap();
    let (report, exit) = stage.user().json(&["proxy", "run", "--config", "proxy.toml"]).unwrap();
    assert!(matches!(exit, Some(4 | 7)), "{exit:?} {report}");
    assert!(report.to_string().contains("TC064"), "{report}");
}

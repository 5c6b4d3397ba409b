//! Several logs and timestamp authorities: what a signing config has asked, and what a policy counts, by operator.

use serde_json::{Value, json};
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::peers::Peer;

use super::stage::{DEVELOPER, STRANGER, Stage, denies};

/// Two labs: the first one's issuer, certificate authority and registry, and the logs and timestamp authorities of both.
struct Both {
    stage: Stage,
    other: World,
}

/// Who runs the services of each lab.
const OPERATORS: [&str; 2] = ["one", "two"];

impl Both {
    fn new() -> Self {
        Self { stage: Stage::new(), other: World::start(WorldOptions::default()).unwrap() }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.stage.user.home().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn worlds(&self) -> [&World; 2] {
        [&self.stage.world, &self.other]
    }

    /// The trusted root with the services of both, run by these.
    fn trusted_root(&self, operators: [&str; 2]) -> String {
        let roots = self.worlds().map(|world| serde_json::from_str::<Value>(world.sigstore().trusted_root()).unwrap());
        let mut whole = roots[0].clone();
        for kind in ["tlogs", "timestampAuthorities"] {
            let services = roots.iter().zip(operators).flat_map(|(root, operator)| {
                root[kind].as_array().unwrap().clone().into_iter().map(move |mut service| {
                    service["operator"] = json!(operator);
                    service
                })
            });
            whole[kind] = services.collect();
        }
        self.write("root.json", &whole.to_string())
    }

    /// A signing config with a log of each lab, of these versions, and both timestamp authorities.
    fn config(&self, logs: [LogVersion; 2], (log, tsa): (&Value, &Value)) -> String {
        let parts = [0, 1].map(|at| {
            let config: Value = serde_json::from_str(&self.worlds()[at].sigstore().signing_config(logs[at])).unwrap();
            ["rekorTlogUrls", "tsaUrls"].map(|kind| {
                let mut service = config[kind][0].clone();
                service["operator"] = json!(OPERATORS[at]);
                service
            })
        });
        let mut whole: Value = serde_json::from_str(&self.stage.world.sigstore().signing_config(LogVersion::V1)).unwrap();
        for (at, kind) in ["rekorTlogUrls", "tsaUrls"].into_iter().enumerate() {
            whole[kind] = parts.iter().map(|part| part[at].clone()).collect();
        }
        (whole["rekorTlogConfig"], whole["tsaConfig"]) = (log.clone(), tsa.clone());
        self.write("config.json", &whole.to_string())
    }

    fn words(&self, config: &str, root: &str, more: &[&str]) -> Vec<String> {
        let token = self.stage.token(&Claims::email(DEVELOPER));
        let image = self.stage.image();
        let words = ["sign", &image, "--signing-config", config, "--trusted-root", root, "--identity-token", &token];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    /// What a policy says that demands this of the instance: the exit code, and the first reason.
    fn judged(&self, root: &str, demands: &str) -> (Option<i32>, String) {
        let policy = format!(
            "version = 1\n[signers.dev]\nscheme = \"cosign\"\nidentity = \"{DEVELOPER}\"\nissuer = \"{}\"\nsigstore = \"both\"\n\
             [sigstores.both]\ntrusted-root = \"{root}\"\n{demands}\n[[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = {{ any = [\"dev\"] }}\n",
            self.stage.issuer()
        );
        let policy = self.write("policy.toml", &policy);
        let (report, exit) = self.stage.user.json(&["verify", &self.stage.image(), "--policy", &policy]).unwrap();
        (exit, report["results"][0]["reasons"][0]["code"].as_str().unwrap_or_default().to_owned())
    }

    fn entries(&self, version: LogVersion) -> [usize; 2] {
        self.worlds().map(|world| world.sigstore().entries(version).len())
    }

    fn stamps(&self) -> [usize; 2] {
        self.worlds().map(|world| world.sigstore().timestamps().requests().count())
    }
}

const TRUSTED: (Option<i32>, &str) = (Some(0), "");
const TOO_FEW: (Option<i32>, &str) = (Some(1), "TC0327");

#[test]
fn any_one_is_asked_and_does_not_meet_a_threshold_of_two() {
    let both = Both::new();
    let root = both.trusted_root(OPERATORS);
    let any = json!({"selector": "ANY"});
    let config = both.config([LogVersion::V1; 2], (&any, &any));
    both.stage.done(&both.words(&config, &root, &[]));
    assert_eq!((both.entries(LogVersion::V1).iter().sum::<usize>(), both.stamps().iter().sum::<usize>()), (1, 1));
    let judged = |demands| both.judged(&root, demands);
    assert_eq!(judged("logs = 1"), (TRUSTED.0, TRUSTED.1.to_owned()));
    assert_eq!(judged("logs = 2"), (TOO_FEW.0, TOO_FEW.1.to_owned()));
    assert_eq!(judged("times = 2").0, TOO_FEW.0);
}

#[test]
fn all_and_exactly_two_are_asked_and_meet_thresholds_of_two_by_operator() {
    let (all, two) = (json!({"selector": "ALL"}), json!({"selector": "EXACT", "count": 2}));
    for (logs, (log, tsa)) in [([LogVersion::V1; 2], (&all, &two)), ([LogVersion::V1, LogVersion::V2], (&two, &all))] {
        let both = Both::new();
        let root = both.trusted_root(OPERATORS);
        let config = both.config(logs, (log, tsa));
        both.stage.done(&both.words(&config, &root, &[]));
        let count = |at: usize| both.entries(logs[at])[at];
        assert_eq!((count(0), count(1), both.stamps()), (1, 1, [1, 1]));
        for demands in ["logs = 2", "times = 2", "logs = 2\ntimes = 2\ninclusion-proof = \"required\""] {
            assert_eq!(both.judged(&root, demands), (TRUSTED.0, TRUSTED.1.to_owned()), "{demands}");
        }
        assert_eq!(both.judged(&root, "logs = 3"), (TOO_FEW.0, TOO_FEW.1.to_owned()));
        // The same services, and one operator who runs them all.
        let alone = both.trusted_root(["one", "one"]);
        assert_eq!(both.judged(&alone, "logs = 2"), (TOO_FEW.0, TOO_FEW.1.to_owned()));
        assert_eq!(both.judged(&alone, "logs = 1"), (TRUSTED.0, TRUSTED.1.to_owned()));
        // Whoever trusts one of the logs alone is not bothered by the count, but an entry of an unknown log is none.
        let first = both.stage.file("trusted_root.json");
        assert_eq!(both.judged(&first, "logs = 1").1, "TC0323");
        let again = both.stage.done(&both.words(&config, &both.trusted_root(OPERATORS), &[]));
        assert_eq!(again["results"][0]["done"], "already signed");

        let Some(cosign) = Peer::Cosign3.or_skip() else { continue };
        let (root, issuer, image) = (both.trusted_root(OPERATORS), both.stage.issuer(), both.stage.image());
        let verify = |identity: &str| {
            let words =
                ["verify", "--trusted-root", &root, "--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
            both.stage.run(&cosign, &[&words[..], &["--use-signed-timestamps", "--allow-http-registry", &image]].concat(), &[])
        };
        denies(&verify(STRANGER), "certificate identity");
        verify(DEVELOPER).ok().unwrap();
    }
}

#[test]
fn more_than_there_are_operators_cannot_be_asked() {
    let both = Both::new();
    let root = both.trusted_root(OPERATORS);
    let (all, three) = (json!({"selector": "ALL"}), json!({"selector": "EXACT", "count": 3}));
    for selectors in [(&three, &all), (&all, &three)] {
        let config = both.config([LogVersion::V1; 2], selectors);
        both.stage.refused(&both.stage.user, &both.words(&config, &root, &[]), (7, "TC0951"));
    }
    assert_eq!((both.entries(LogVersion::V1), both.stamps()), ([0, 0], [0, 0]), "nobody was asked");
}

/// All or none: while one of two logs is down nothing is published, and what the other one has is not entered twice.
#[test]
fn while_one_of_two_logs_is_down_nothing_is_published() {
    let both = Both::new();
    let root = both.trusted_root(OPERATORS);
    let all = json!({"selector": "ALL"});
    let config = both.config([LogVersion::V1; 2], (&all, &all));
    let second = both.other.sigstore().rekor().faults();
    second.add(FaultRule::always("/api/v1/log/entries", Fault::Status { status: 502, retry_after: None }));
    both.stage.refused(&both.stage.user, &both.words(&config, &root, &["--timeout", "3s"]), (4, "TC0401"));
    assert_eq!(both.entries(LogVersion::V1), [1, 0]);
    second.clear();
    both.stage.done(&both.words(&config, &root, &[]));
    assert_eq!(both.entries(LogVersion::V1), [1, 1]);
    assert_eq!(both.judged(&root, "logs = 2"), (TRUSTED.0, TRUSTED.1.to_owned()));
}

/// A log whose answer does not hold is as bad as one that is down, however many others there are.
#[test]
fn a_false_answer_of_one_of_two_is_refused() {
    use trustctl_lab::faults::Part;
    let both = Both::new();
    let root = both.trusted_root(OPERATORS);
    let all = json!({"selector": "ALL"});
    let config = both.config([LogVersion::V1; 2], (&all, &all));
    let (log, stamps) = (both.other.sigstore().rekor(), both.other.sigstore().timestamps());
    log.faults().add(FaultRule::always("/api/v1/log/entries", Fault::Wrong(Part::Checkpoint)));
    both.stage.refused(&both.stage.user, &both.words(&config, &root, &[]), (1, "TC0321"));
    log.faults().clear();
    stamps.faults().add(FaultRule::always("/api/v1/timestamp", Fault::Wrong(Part::Imprint)));
    both.stage.refused(&both.stage.user, &both.words(&config, &root, &["-a", "a=b"]), (1, "TC0953"));
    stamps.faults().clear();
    both.stage.done(&both.words(&config, &root, &[]));
}

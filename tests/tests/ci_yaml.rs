//! The files of CI systems, read by a YAML parser as those systems read them: what their parts refer to is there, and what others choose
//! is never part of a script.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};
use trustctl_remote::oidc::ambient::TOKEN_FILE;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The documents of a file. A key that is there twice is an error of the parser.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    documents.iter().map(json).collect()
}

/// The same as JSON, which is easier to point into.
fn json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.to_string().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(members) => {
            let pair =
                |(key, value)| (json(key).as_str().unwrap_or_else(|| panic!("{key:?} is no text")).to_owned(), json(value));
            Value::Object(members.iter().map(pair).collect::<Map<_, _>>())
        }
        other => panic!("{other:?} is neither scalar, list nor object"),
    }
}

fn integration(path: &str) -> Vec<Value> {
    documents(&root().join("integrations").join(path))
}

/// Every text in a document, with its path.
fn texts(node: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match node {
        Value::String(text) => found.push((at.to_owned(), text.clone())),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| texts(item, &format!("{at}/{index}"), found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            found.push((format!("{at}/{name}#"), name.clone()));
            texts(value, &format!("{at}/{name}"), found);
        }),
        _ => {}
    }
}

/// The names that come after `start` in the texts of a document, each up to a character that is not part of a name.
fn names_after(document: &Value, start: &str) -> BTreeSet<String> {
    let mut all = Vec::new();
    texts(document, "", &mut all);
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = |rest: &str| rest.chars().take_while(|c| part(*c)).collect::<String>();
    all.iter().flat_map(|(_, text)| text.split(start).skip(1).map(name).collect::<Vec<_>>()).collect()
}

fn keys(node: &Value) -> BTreeSet<String> {
    node.as_object().unwrap().keys().cloned().collect()
}

/// Texts that a shell runs hold no expression: it would be replaced before the shell reads it, and be code.
#[track_caller]
fn holds_no_expression(script: &Value, marks: &[&str]) {
    let mut all = Vec::new();
    texts(script, "", &mut all);
    assert!(!all.is_empty());
    for (_, text) in all {
        assert!(marks.iter().all(|mark| !text.contains(mark)), "{text}");
    }
}

/// The variables that the step reads, as its head says.
fn of_the_step() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("integrations/sign-step.sh")).unwrap();
    let head = text.lines().take_while(|line| line.starts_with('#'));
    head.flat_map(|line| {
        line.split_whitespace().filter(|word| word.starts_with("TRUSTCTL")).map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn every_yaml_file_is_read_without_doubt() {
    let mut files = Vec::new();
    for folder in ["integrations/github", "integrations/gitlab/templates", "integrations/tekton", ".github/workflows"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")));
    }
    assert!(files.len() >= 4, "{files:?}");
    for file in &files {
        assert!(documents(file).iter().all(Value::is_object), "{}", file.display());
    }
    assert!(Yaml::load_from_str("a: 1\na: 2\n").is_err(), "the parser notices a key that is there twice");
}

/// The token of the service account is where trustctl looks for it, and for the audience of Sigstore.
#[test]
fn tekton_puts_the_token_where_it_is_looked_for() {
    let task = &integration("tekton/task.yaml")[0];
    let (volume, step) = (&task["spec"]["volumes"][0], &task["spec"]["steps"][0]);
    let token = &volume["projected"]["sources"][0]["serviceAccountToken"];
    let mount = &step["volumeMounts"][0];
    assert_eq!(mount["name"], volume["name"]);
    assert_eq!(format!("{}/{}", mount["mountPath"].as_str().unwrap(), token["path"].as_str().unwrap()), TOKEN_FILE);
    assert_eq!((&token["audience"], &mount["readOnly"]), (&"sigstore".into(), &true.into()));
    assert!(token["expirationSeconds"].as_u64().unwrap() >= 600, "Kubernetes issues none for less");

    let named = |kind: &str| -> BTreeSet<String> {
        let list = task["spec"][kind].as_array().unwrap();
        list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names_after(task, "$(params."), named("params"));
    assert_eq!(names_after(task, "$(results."), named("results"));
    assert_eq!(names_after(task, "$(workspaces."), named("workspaces"));
    holds_no_expression(&step["script"], &["$(params.", "$(results.", "$(workspaces."]);
    let variables: BTreeSet<&str> = step["env"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for variable in variables.into_iter().filter(|name| name.starts_with("TRUSTCTL")) {
        assert!(of_the_step().contains(variable), "{variable}");
    }
}

#[test]
fn the_gitlab_template_uses_what_it_declares_and_asks_for_sigstores_token() {
    let [head, jobs] = <[Value; 2]>::try_from(integration("gitlab/templates/sign.yml")).unwrap();
    assert_eq!(names_after(&jobs, "$[[ inputs."), keys(&head["spec"]["inputs"]));
    let job = &jobs["$[[ inputs.job ]]"];
    assert_eq!(job["id_tokens"], serde_json::json!({"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}));
    holds_no_expression(&job["script"], &["$[[", "$CI_COMMIT_MESSAGE"]);
    for variable in keys(&job["variables"]).iter().filter(|name| name.starts_with("TRUSTCTL")) {
        assert!(of_the_step().contains(variable), "{variable}");
    }
    let paths: Vec<&str> = job["artifacts"]["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(job["artifacts"]["when"], "always", "what waits is kept when the job fails");
    for path in paths {
        assert!(job["script"][0].as_str().unwrap().contains(&format!("$CI_PROJECT_DIR/{path}\"")), "{path}");
    }
    for (name, input) in head["spec"]["inputs"].as_object().unwrap() {
        let default = &input["default"];
        let fits = input["options"].as_array().is_none_or(|options| options.contains(default));
        assert!(fits && (default.is_string() || default.is_null()), "{name}: {input}");
    }
}

#[test]
fn the_github_action_uses_what_it_declares_and_hands_out_what_the_step_writes() {
    let action = &integration("github/action.yml")[0];
    assert_eq!(names_after(action, "${{ inputs."), keys(&action["inputs"]));
    let step = &action["runs"]["steps"][0];
    let outputs = names_after(&action["outputs"], &format!("${{{{ steps.{}.outputs.", step["id"].as_str().unwrap()));
    assert_eq!(outputs, keys(&action["outputs"]));
    let text = std::fs::read_to_string(root().join("integrations/sign-step.sh")).unwrap();
    for output in outputs {
        assert!(text.contains(&format!("output {output} ")), "{output}");
    }
    for step in action["runs"]["steps"].as_array().unwrap() {
        holds_no_expression(&step["run"], &["${{"]);
        for variable in keys(&step["env"]).iter().filter(|name| name.starts_with("TRUSTCTL")) {
            assert!(of_the_step().contains(variable), "{variable}");
        }
    }
    // Whoever forgets a default gets an empty text.
    for (name, input) in action["inputs"].as_object().unwrap() {
        assert!(input["required"] == true || input["default"].is_string(), "{name}: {input}");
    }
}

/// The workflows of this project say what they may do, and run nothing that others choose.
#[test]
fn own_workflows_name_their_permissions_and_run_no_expression_of_others() {
    for name in ["ci.yml", "supply-chain.yml"] {
        let workflow = &documents(&root().join(".github/workflows").join(name))[0];
        assert!(workflow["permissions"].is_object() || workflow["permissions"] == "read-all", "{name} names its permissions");
        let mut all = Vec::new();
        texts(workflow, "", &mut all);
        for (at, script) in all.iter().filter(|(at, _)| at.ends_with("/run")) {
            assert!(!script.contains("${{ github.event") && !script.contains("${{ inputs"), "{name}{at}: {script}");
        }
    }
}

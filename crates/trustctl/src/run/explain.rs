//! `trustctl explain`.

use serde_json::json;
use trustctl_core::reason::{Code, Ending, Step};

use crate::cli::ExplainArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{Paint, Ui};

/// Explains one code, or lists all.
///
/// # Errors
/// A usage [`Failure`] for an unknown code.
pub(super) fn explain(ui: &Ui, args: &ExplainArgs) -> Result<Exit, Failure> {
    let Some(text) = &args.code else {
        list(ui);
        return Ok(Exit::Done);
    };
    let Some(code) = Code::find(text) else {
        let step = Step::command("see all codes", ["trustctl", "explain"]);
        return Err(Failure::bad_value("CODE", text, "there is no such reason code").step(step));
    };
    if ui.json() {
        let mut report = as_json(code);
        if let Some(report) = report.as_object_mut() {
            report.extend([("schema".to_owned(), json!("trustctl/reason/v1")), ("exit".to_owned(), json!(0))]);
        }
        ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    ui.say(format!("{} {}", ui.paint(Paint::Cyan, &code.id()), code.name()));
    ui.say(format!("  {}", code.summary()));
    ui.say(format!("  {}", code.meaning()));
    ui.say(format!("  next: {}", code.advice()));
    if let Some(exit) = exit_of(code) {
        ui.say(format!("  exit: {exit} for a run that fails for it"));
    }
    Ok(Exit::Done)
}

fn list(ui: &Ui) {
    if ui.json() {
        let codes: Vec<_> = Code::ALL.iter().copied().map(as_json).collect();
        ui.say(json!({ "schema": "trustctl/reasons/v1", "exit": 0, "reasons": codes }).to_string());
        return;
    }
    for code in Code::ALL {
        ui.say(format!("{}  {:<40} {}", ui.paint(Paint::Cyan, &code.id()), code.name(), code.summary()));
    }
}

fn as_json(code: Code) -> serde_json::Value {
    json!({
        "code": code.id(),
        "name": code.name(),
        "summary": code.summary(),
        "meaning": code.meaning(),
        "next": code.advice(),
        "failureExit": exit_of(code),
    })
}

/// The exit code of a run that fails for the reason; none for a remark.
fn exit_of(code: Code) -> Option<u8> {
    (code.ending() != Ending::Remark).then(|| Exit::of_code(code).code())
}

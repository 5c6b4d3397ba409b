//! `trustctl explain`.

use serde_json::json;
use trustctl_core::reason::Code;

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
        return Err(Failure::usage(
            Code::BadReference,
            format!("there is no reason code \"{text}\"; trustctl explain lists all"),
        ));
    };
    if ui.json() {
        ui.say(as_json(code).to_string());
        return Ok(Exit::Done);
    }
    ui.say(format!("{} {}", ui.paint(Paint::Cyan, &code.id()), code.name()));
    ui.say(format!("  {}", code.summary()));
    ui.say(format!("  {}", code.meaning()));
    ui.say(format!("  next: {}", code.advice()));
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
    })
}

//! `postroom template`: what mails are made of. Put from the app's git, look, try out, remove.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use postroom::Millis;
use postroom::templates::{Compiled, Rendered, TemplateFault, TemplateName, TemplateRef, TemplateSource, read_folder};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::mail::unknown;
use postroom_shared::templates::{MOST_TEMPLATES, Put, Template as Stored, Templates, fingerprint};
use serde::Serialize;
use serde_json::Value;

use super::output::complain;
use super::table::Table;
use super::values::{quiet, template_name, template_ref};
use super::{Context, Failure};

const PUT_HELP: &str = "\
A folder holds a folder for each template, and _parts for what they share:

  emails/_parts/layout.html   {% extends \"layout\" %}
  emails/welcome/subject.txt  needed
  emails/welcome/body.html    this, body.txt or both; a text is made of the HTML
  emails/welcome/sample.json  variables to try it out with

All are checked before any is put. What has not changed makes no new version.

Examples:
  postroom template put emails --dry-run
  postroom template put emails";

/// Templates.
#[derive(Subcommand)]
pub(crate) enum Template {
    /// Check the templates of a folder and put them; docs/templates.md tells how to write them
    #[command(after_help = PUT_HELP)]
    Put {
        /// A folder of templates, or the folder of one
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Check, tell what would change, and put nothing
        #[arg(long)]
        dry_run: bool,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// All templates, each in its newest version
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// One template: its versions, variables and files
    Show {
        #[command(flatten)]
        which: Which,
        /// Print one JSON object, with all files
        #[arg(long)]
        json: bool,
    },
    /// Render a template and print the mail that comes of it
    Render(Render),
    /// Remove a template with all its versions; mails that were handed over stay
    Remove {
        /// The template
        #[arg(value_name = "NAME", value_parser = quiet(template_name))]
        name: TemplateName,
    },
}

/// Which template.
#[derive(Args)]
pub(crate) struct Which {
    /// The template, such as welcome or welcome@3
    #[arg(value_name = "NAME", value_parser = quiet(template_ref))]
    name: TemplateRef,
}

/// `postroom template render`.
#[derive(Args)]
pub(crate) struct Render {
    #[command(flatten)]
    which: Which,
    /// A JSON file of variables; default: the template's sample
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Print the HTML only
    #[arg(long, group = "what")]
    html: bool,
    /// Print the text only
    #[arg(long, group = "what")]
    text: bool,
    /// Print the subject only
    #[arg(long, group = "what")]
    subject: bool,
    /// Print one JSON object
    #[arg(long, group = "what")]
    json: bool,
}

/// What a put came to, as `--json` tells it.
#[derive(Serialize)]
struct Line {
    name: TemplateName,
    /// Null: a dry run, and it would be new.
    version: Option<u32>,
    new: bool,
}

/// A template, as `show --json` tells it.
#[derive(Serialize)]
struct Shown<'a> {
    versions: &'a [u32],
    variables: Vec<String>,
    #[serde(flatten)]
    template: &'a Stored,
}

pub(crate) async fn run(command: Template, context: &mut Context) -> Result<(), Failure> {
    let templates = Templates::new(context.queue().store());
    match command {
        Template::Put { folder, dry_run, json } => put(&folder, dry_run, json, &templates, context).await,
        Template::List { json } => list(json, &templates, context).await,
        Template::Show { which, json } => show(&which.name, json, &templates, context).await,
        Template::Render(command) => render(&command, &templates, context).await,
        Template::Remove { name } => {
            if templates.remove(&name).await? {
                context.note(Action::TemplateRemove, Subject::Template(name.to_string())).await;
                return context.out.line(format!("template {name} removed"));
            }
            Err(no_such(&TemplateRef { name, version: None }, &templates).await?)
        }
    }
}

async fn put(
    folder: &Path,
    dry: bool,
    json: bool,
    templates: &Templates,
    context: &mut Context,
) -> Result<(), Failure> {
    let found = read_folder(folder).map_err(|faults| refused(&faults))?;
    let checked = found.iter().map(|(name, source)| Compiled::checked(name, source).err());
    let faults: Vec<TemplateFault> = checked.flatten().flatten().collect();
    if !faults.is_empty() {
        return Err(refused(&faults));
    }
    let mut lines = Vec::with_capacity(found.len());
    for (name, source) in found {
        let line =
            if dry { would_put(name, &source, templates).await? } else { put_one(name, &source, templates).await? };
        lines.push(line);
    }
    let put = lines.iter().filter(|line| line.version.is_some() && line.new).count();
    if put > 0 {
        context.note(Action::TemplatePut, Subject::Templates(put)).await;
    }
    if json {
        return context.out.json(&lines);
    }
    for Line { name, version, new } in lines {
        context.out.line(match (version, new) {
            (Some(version), true) => format!("{name}@{version} put"),
            (Some(version), false) => format!("{name}@{version} is the same"),
            (None, _) => format!("{name} would be put"),
        })?;
    }
    Ok(())
}

async fn put_one(name: TemplateName, source: &TemplateSource, templates: &Templates) -> Result<Line, Failure> {
    match templates.put(&name, source, Millis::now()).await? {
        Put::New(version) => Ok(Line { name, version: Some(version), new: true }),
        Put::Same(version) => Ok(Line { name, version: Some(version), new: false }),
        Put::TooMany => Err(Failure::failed(format!(
            "{name} was not put, for there are {MOST_TEMPLATES} templates already: remove some with `postroom template remove`"
        ))),
    }
}

async fn would_put(name: TemplateName, source: &TemplateSource, templates: &Templates) -> Result<Line, Failure> {
    let newest = templates.newest(&name).await?;
    let sha = fingerprint(source)?;
    let same = newest.filter(|newest| newest.facts.sha == sha);
    Ok(Line { name, new: same.is_none(), version: same.map(|newest| newest.version) })
}

fn refused(faults: &[TemplateFault]) -> Failure {
    for fault in faults {
        complain(fault);
    }
    Failure::failed("nothing was put: mend these first")
}

async fn list(json: bool, templates: &Templates, context: &mut Context) -> Result<(), Failure> {
    let list = templates.list().await?;
    if json {
        return context.out.json(&list);
    }
    let mut table = Table::new(&["NAME", "VERSION", "PUT", "BYTES", "PARTS"]);
    for one in list {
        let (version, bytes) = (one.version.to_string(), one.facts.bytes.to_string());
        table.row([one.name.to_string(), version, one.facts.put_at.to_string(), bytes, one.facts.parts.join(", ")]);
    }
    table.print(&mut context.out, "")
}

async fn show(name: &TemplateRef, json: bool, templates: &Templates, context: &mut Context) -> Result<(), Failure> {
    let template = get(name, templates).await?;
    let versions = templates.versions(&name.name).await?;
    let compiled = Compiled::new(&template.name, &template.source).map_err(|faults| refused(&faults))?;
    let variables: Vec<String> = compiled.variables().into_iter().collect();
    if json {
        return context.out.json(&Shown { versions: &versions, variables, template: &template });
    }
    let numbers: Vec<String> = versions.iter().map(ToString::to_string).collect();
    let mut table = Table::plain();
    table.pair("Template", format!("{}@{}", template.name, template.version));
    table.pair("Put", template.put_at);
    table.pair("Versions", numbers.join(" "));
    table.pair("Variables", variables.join(", "));
    table.print(&mut context.out, "")?;
    let source = &template.source;
    let own = [("subject.txt", Some(&source.subject)), ("body.html", source.html.as_ref())];
    let own = own.into_iter().chain([("body.txt", source.text.as_ref())]);
    let own = own.filter_map(|(file, text)| Some((file.to_owned(), text?)));
    for (file, text) in own.chain(source.parts.iter().map(|(part, text)| (format!("_parts/{part}"), text))) {
        context.out.line(format!("\n--- {file}\n{}", text.trim_end_matches('\n')))?;
    }
    Ok(())
}

async fn render(command: &Render, templates: &Templates, context: &mut Context) -> Result<(), Failure> {
    let template = get(&command.which.name, templates).await?;
    let variables = match &command.data {
        Some(file) => variables(file)?,
        None => template
            .source
            .sample
            .clone()
            .ok_or_else(|| Failure::failed("the template has no sample data: give variables with --data FILE"))?,
    };
    let failed = |faults: &[TemplateFault]| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::failed(told.join("; "))
    };
    let compiled = Compiled::new(&template.name, &template.source).map_err(|faults| failed(&faults))?;
    let rendered = compiled.render(&variables).map_err(|fault| failed(&[fault]))?;
    print(command, rendered, context)
}

fn print(command: &Render, rendered: Rendered, context: &mut Context) -> Result<(), Failure> {
    if command.json {
        return context.out.json(&rendered);
    }
    let Rendered { subject, html, text } = rendered;
    if command.subject {
        return context.out.line(subject);
    }
    if command.html {
        let html = html.ok_or_else(|| Failure::failed("the template makes no HTML: it has no body.html"))?;
        return context.out.bytes(html.as_bytes());
    }
    let text = text.unwrap_or_default();
    if !command.text {
        context.out.line(format!("Subject: {subject}\n"))?;
    }
    context.out.bytes(text.as_bytes())
}

fn variables(file: &Path) -> Result<Value, Failure> {
    let failed = |why: String| Failure::failed(format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| failed(format!("not JSON, in line {}", error.line())))?;
    if value.is_object() { Ok(value) } else { Err(failed("not an object of names and values".to_owned())) }
}

async fn get(name: &TemplateRef, templates: &Templates) -> Result<Stored, Failure> {
    match templates.get(name).await? {
        Some(template) => Ok(template),
        None => Err(no_such(name, templates).await?),
    }
}

async fn no_such(wanted: &TemplateRef, templates: &Templates) -> Result<Failure, Failure> {
    let list = templates.list().await?;
    let known: Vec<&str> = list.iter().map(|one| one.name.as_str()).collect();
    Ok(Failure::failed(if known.is_empty() {
        "there is no template: put some with `postroom template put FOLDER`".to_owned()
    } else if known.contains(&wanted.name.as_str()) {
        let (name, version) = (&wanted.name, wanted.version.unwrap_or_default());
        format!("there is no version {version} of {name} (any more): see `postroom template show {name}`")
    } else {
        unknown("template", wanted.name.as_str(), &known)
    }))
}

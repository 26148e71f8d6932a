//! The templates that a client used last, compiled, so that a flood of mails asks Redis once in some seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postroom_shared::mail::Fault;
use postroom_shared::store::{Store, StoreError};
use postroom_shared::templates::{TemplateRef, Templates};
use tokio::sync::Mutex;

use super::compiled::Compiled;

/// How long a template is believed to be the newest, and to be there at all.
const BELIEVED: Duration = Duration::from_secs(5);
/// Templates that are kept compiled.
const MOST: usize = 256;

/// The templates that were used last.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<HashMap<TemplateRef, Known>>);

struct Known {
    /// When it was read; `None`: it is not believed any more.
    at: Option<Instant>,
    sha: String,
    compiled: Arc<Compiled>,
}

impl Known {
    fn is_believed(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < BELIEVED)
    }
}

impl Remembered {
    /// The template that a mail names, some seconds old at most; a fault if there is none, or it cannot be used. Whoever comes
    /// while one is being read waits.
    pub(crate) async fn get(
        &self,
        wanted: &TemplateRef,
        store: &Store,
    ) -> Result<Result<Arc<Compiled>, Fault>, StoreError> {
        let mut known = self.0.lock().await;
        if let Some(found) = known.get(wanted).filter(|found| found.is_believed()) {
            return Ok(Ok(Arc::clone(&found.compiled)));
        }
        let at = Some(Instant::now());
        let templates = Templates::new(store);
        let Some(template) = templates.get(wanted).await? else {
            known.remove(wanted);
            return Ok(Err(fault(none_such(wanted, &templates).await?)));
        };
        let compiled = match known.get(wanted).filter(|found| found.sha == template.sha) {
            Some(found) => Arc::clone(&found.compiled),
            None => match Compiled::new(&template.name, &template.source) {
                Ok(compiled) => Arc::new(compiled),
                Err(faults) => {
                    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
                    return Ok(Err(fault(told.join("; "))));
                }
            },
        };
        if known.len() >= MOST {
            known.retain(|_, found| found.is_believed());
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(wanted.clone(), Known { at, sha: template.sha, compiled: Arc::clone(&compiled) });
        Ok(Ok(compiled))
    }

    /// Believes nothing any more: for whoever has just put or removed one.
    pub(crate) async fn forget(&self) {
        for found in self.0.lock().await.values_mut() {
            found.at = None;
        }
    }
}

fn fault(message: String) -> Fault {
    Fault { field: "template".to_owned(), message }
}

/// What to say of a template that is not there.
async fn none_such(wanted: &TemplateRef, templates: &Templates) -> Result<String, StoreError> {
    let versions = templates.versions(&wanted.name).await?;
    Ok(match (versions.first(), versions.last()) {
        (Some(first), Some(last)) => {
            // Not written name@version: that looks like an address, which a log would mask.
            let version = wanted.version.unwrap_or_default();
            format!(
                "there is no version {version} of {} (any more): those that are kept go from {first} to {last}",
                wanted.name
            )
        }
        _ => {
            let list = templates.list().await?;
            let known: Vec<&str> = list.iter().map(|one| one.name.as_str()).collect();
            if known.is_empty() {
                "no template has been put yet: put some with `postroom template put FOLDER`".to_owned()
            } else {
                postroom_shared::mail::unknown("template", wanted.name.as_str(), &known)
            }
        }
    })
}

//! The workers' clocks, which a fault may set: by libfaketime, where it is installed (`make chaos` sees to it). The monotonic
//! clock goes on as it is, as on a machine whose clock is set.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Debian's place of the library, below the folder of the machine's kind.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// One file for each worker says how far its clock is off.
pub(crate) struct Clocks {
    library: Option<PathBuf>,
    folder: PathBuf,
    /// How often a clock was set.
    steps: AtomicU64,
}

impl Clocks {
    /// Looks for the library; without it no clock can be set.
    pub(crate) fn find(folder: &Path) -> Self {
        let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = folders.map(|folder| folder.path().join(LIBRARY)).find(|path| path.is_file());
        Self { library, folder: folder.to_owned(), steps: AtomicU64::new(0) }
    }

    /// Whether clocks can be set.
    pub(crate) fn can_be_set(&self) -> bool {
        self.library.is_some()
    }

    /// The environment of the worker at a place. Its clock is right at first.
    pub(crate) fn environment(&self, place: usize) -> anyhow::Result<Vec<(String, String)>> {
        let Some(library) = &self.library else { return Ok(Vec::new()) };
        let file = self.file(place);
        if !file.is_file() {
            std::fs::write(&file, "+0\n")?;
        }
        let pairs = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ];
        Ok(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec())
    }

    /// Sets a worker's clock so many seconds off; within a second it is. Answers whether that can be done.
    pub(crate) async fn set(&self, place: usize, seconds: i64) -> anyhow::Result<bool> {
        if !self.can_be_set() {
            return Ok(false);
        }
        // Whole at once: a file that is read while it is written would say something else. Each has a name of its own, for two steps of
        // one clock may come together.
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        let (file, next) = (self.file(place), self.file(place).with_extension(format!("next-{number}")));
        tokio::fs::write(&next, format!("{seconds:+}\n")).await?;
        tokio::fs::rename(next, file).await?;
        Ok(true)
    }

    fn file(&self, place: usize) -> PathBuf {
        self.folder.join(format!("clock-{place}"))
    }
}

//! The simulated disk of one folder: the shadows of its files, the injected fault and the
//! hook around syncs, behind one lock.
//!
//! The methods take the real operation as a closure, so that all code without C calls is
//! here. The lock is never held during a write or a hook: a test may request a power loss
//! while another thread's sync is held.

use std::{
    collections::BTreeMap,
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::ffi::{SQLITE_IOERR_FSYNC, SQLITE_OK};

use crate::{
    Call, Fault, SyncPoint, SyncStage, Tally,
    shadow::{Rng, Shadow},
};

pub(crate) type Hook = dyn Fn(&SyncPoint<'_>) + Send + Sync;

pub(crate) struct Disk {
    /// Canonical, as SQLite's names are. Only files under it are watched.
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shadows: BTreeMap<PathBuf, Shadow>,
    fault: Option<Fault>,
    tally: Tally,
    hook: Option<Arc<Hook>>,
    open_files: usize,
}

impl Disk {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, state: Mutex::default() }
    }

    pub(crate) fn watches(&self, path: &Path) -> bool {
        path.starts_with(&self.folder)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lock().open_files == 0
    }

    /// Frees the memory once no file is open.
    pub(crate) fn forget(&self) {
        *self.lock() = State::default();
    }

    pub(crate) fn inject(&self, fault: Option<Fault>) -> Tally {
        let mut state = self.lock();
        let seen = state.tally;
        if fault.is_some() {
            state.tally = Tally::default();
        }
        state.fault = fault;
        seen
    }

    pub(crate) fn tally(&self) -> Tally {
        self.lock().tally
    }

    pub(crate) fn set_hook(&self, hook: Option<Arc<Hook>>) {
        // The old hook may own the last handle, whose drop takes the lock.
        let old = std::mem::replace(&mut self.lock().hook, hook);
        drop(old);
    }

    /// Every file's image after a power loss now, by its path in the folder; torn
    /// according to `seed`, or without anything unsynchronised.
    pub(crate) fn images(&self, seed: Option<u64>) -> Vec<(PathBuf, Vec<u8>)> {
        let mut rng = seed.map(Rng);
        let state = self.lock();
        let images = state.shadows.iter().filter_map(|(path, shadow)| {
            let image = match &mut rng {
                Some(rng) => shadow.torn(rng),
                None => shadow.synced(),
            };
            let inside = path.strip_prefix(&self.folder).ok()?;
            Some((inside.to_owned(), image?))
        });
        images.collect()
    }

    /// Records that a file was opened; `contents` reads it if it is the first time.
    pub(crate) fn open(
        &self,
        path: &Path,
        contents: impl FnOnce() -> Result<Vec<u8>, c_int>,
    ) -> Result<(), c_int> {
        // Held while reading: a second opener must not write meanwhile.
        let mut state = self.lock();
        if !state.shadows.contains_key(path) {
            let shadow = Shadow::found(contents()?);
            state.shadows.insert(path.to_owned(), shadow);
        }
        state.open_files += 1;
        Ok(())
    }

    pub(crate) fn close(&self) {
        self.lock().open_files -= 1;
    }

    pub(crate) fn read(&self, real: impl FnOnce() -> c_int) -> c_int {
        self.strike(Call::Read).unwrap_or_else(real)
    }

    pub(crate) fn write(
        &self,
        path: &Path,
        at: usize,
        bytes: &[u8],
        real: impl FnOnce(&[u8]) -> c_int,
    ) -> c_int {
        let failure = self.strike(Call::Write);
        let landing = match failure {
            Some(_) => &bytes[..bytes.len() / 2],
            None => bytes,
        };
        let code = real(landing);
        if code == SQLITE_OK {
            self.lock().shadow(path).write(at, landing);
        }
        failure.unwrap_or(code)
    }

    pub(crate) fn truncate(&self, path: &Path, size: usize, real: impl FnOnce() -> c_int) -> c_int {
        let code = self.strike(Call::Truncate).unwrap_or_else(real);
        if code == SQLITE_OK {
            self.lock().shadow(path).truncate(size);
        }
        code
    }

    pub(crate) fn sync(&self, path: &Path) -> c_int {
        let (began, hook) = {
            let mut state = self.lock();
            (state.shadow(path).mark(), state.hook.clone())
        };
        // A failed assertion in a hook must not unwind into C: it fails the sync.
        let tell = |stage| {
            let call = || hook.iter().for_each(|hook| hook(&SyncPoint { path, stage }));
            catch_unwind(AssertUnwindSafe(call)).map_err(|_| SQLITE_IOERR_FSYNC)
        };
        let code = match tell(SyncStage::Before) {
            Ok(()) => self.strike(Call::Sync).unwrap_or(SQLITE_OK),
            Err(code) => code,
        };
        if code != SQLITE_OK {
            self.lock().shadow(path).sync_failed(began);
            return code;
        }
        let mut state = self.lock();
        if state.shadow(path).sync(began) {
            state.sync_folder_of(path);
        }
        drop(state);
        tell(SyncStage::After).err().unwrap_or(SQLITE_OK)
    }

    /// Deletes a file, and synchronises its folder if `and_folder`.
    pub(crate) fn delete(
        &self,
        path: &Path,
        and_folder: bool,
        real: impl FnOnce() -> c_int,
    ) -> c_int {
        let code = self.strike(Call::Delete).unwrap_or_else(real);
        if code == SQLITE_OK {
            let mut state = self.lock();
            if let Some(shadow) = state.shadows.get_mut(path) {
                shadow.unlink();
            }
            if and_folder {
                state.sync_folder_of(path);
            }
        }
        code
    }

    fn strike(&self, call: Call) -> Option<c_int> {
        let state = &mut *self.lock();
        state.fault.as_ref()?.strike(call, &mut state.tally)
    }

    /// No code panics in the middle of a change, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shadow(&mut self, path: &Path) -> &mut Shadow {
        self.shadows.entry(path.to_owned()).or_default()
    }

    fn sync_folder_of(&mut self, path: &Path) {
        for (other, shadow) in &mut self.shadows {
            if other.parent() == path.parent() {
                shadow.folder_synced();
            }
        }
    }
}

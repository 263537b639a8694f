//! The C side: a `sqlite3_vfs` that watches the files under one folder and passes all
//! work to SQLite's own unix VFS. The only unsafe code of the project.
//!
//! A watched file is one allocation of SQLite's: a [`File`] and, directly after it, the
//! file of the default VFS. A file that is not watched is opened by the default VFS in
//! the whole allocation, and this module gets no further calls for it. The methods are of
//! version 2, shared memory without memory mapping: a mapped read would bypass the
//! faults.

#![expect(non_snake_case, reason = "methods bear the names SQLite gives them")]

use std::{
    ffi::{CStr, CString, OsStr, c_char, c_int, c_void},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use rusqlite::ffi::{
    self, SQLITE_IOERR, SQLITE_OK, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
};

use crate::disk::Disk;

/// The kinds of files that hold a database; the others are temporary.
const WATCHED: c_int = ffi::SQLITE_OPEN_MAIN_DB
    | ffi::SQLITE_OPEN_WAL
    | ffi::SQLITE_OPEN_MAIN_JOURNAL
    | ffi::SQLITE_OPEN_SUPER_JOURNAL;

/// A VFS that is registered as `name` until it is dropped with no file open.
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) disk: &'static Disk,
    table: *mut sqlite3_vfs,
}

// SAFETY: `table` is only handed to `sqlite3_vfs_unregister`, which may be called
// from any thread; the rest is Send and Sync by itself.
unsafe impl Send for Registration {}
// SAFETY: as above; nothing reads through `table` by a shared reference.
unsafe impl Sync for Registration {}

/// What the table's `pAppData` points to.
struct Mount {
    disk: Disk,
    base: *mut sqlite3_vfs,
}

impl Registration {
    /// Registers a VFS for `disk` under a unique name.
    pub(crate) fn new(disk: Disk) -> Result<Self, c_int> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("faulty-vfs-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let c_name = CString::new(name.as_str()).map_err(|_| ffi::SQLITE_MISUSE)?;

        // SAFETY: a null name asks for the default VFS, which is valid as long as
        // the process.
        let base = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        if base.is_null() {
            return Err(ffi::SQLITE_ERROR);
        }
        // Leaked on purpose, a few hundred bytes: a connection without a file
        // (`:memory:`) keeps a pointer that cannot be counted here.
        let mount: &'static Mount = Box::leak(Box::new(Mount { disk, base }));
        // A copy keeps every method of the unix VFS that takes a path or nothing. Of
        // these only `xOpen` uses the table that it is called on.
        // SAFETY: `base` is not null, and SQLite keeps it valid.
        let mut table = unsafe { *base };
        table.szOsFile += size_of::<File>() as c_int;
        table.zName = c_name.into_raw();
        table.pNext = ptr::null_mut();
        table.pAppData = ptr::from_ref(mount).cast_mut().cast();
        table.xOpen = Some(xOpen);
        table.xDelete = Some(xDelete);
        let table = Box::into_raw(Box::new(table));
        // SAFETY: `table` and all that it points to is never freed.
        match unsafe { ffi::sqlite3_vfs_register(table, 0) } {
            SQLITE_OK => Ok(Self { name, disk: &mount.disk, table }),
            code => Err(code),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.disk.is_idle() {
            // SAFETY: `table` was registered by `new` and is never freed.
            unsafe { ffi::sqlite3_vfs_unregister(self.table) };
            self.disk.forget();
        }
    }
}

/// The first part of a watched file's allocation.
#[repr(C)]
struct File {
    /// What SQLite sees; must be first.
    seen: sqlite3_file,
    disk: &'static Disk,
    path: PathBuf,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(xClose),
    xRead: Some(xRead),
    xWrite: Some(xWrite),
    xTruncate: Some(xTruncate),
    xSync: Some(xSync),
    xFileSize: Some(xFileSize),
    xLock: Some(xLock),
    xUnlock: Some(xUnlock),
    xCheckReservedLock: Some(xCheckReservedLock),
    xFileControl: Some(xFileControl),
    xSectorSize: Some(xSectorSize),
    xDeviceCharacteristics: Some(xDeviceCharacteristics),
    xShmMap: Some(xShmMap),
    xShmLock: Some(xShmLock),
    xShmBarrier: Some(xShmBarrier),
    xShmUnmap: Some(xShmUnmap),
    xFetch: None,
    xUnfetch: None,
};

/// Where the default VFS's file lies in a watched file's allocation.
///
/// # Safety
/// `file` must be an allocation of our table's `szOsFile` bytes.
unsafe fn behind(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` is the sum of both sizes. `File` is as aligned as
    // SQLite's allocations, eight bytes, and its size keeps the next one so.
    unsafe { file.byte_add(size_of::<File>()) }
}

/// # Safety
/// `file` must have been opened by [`xOpen`] as a watched file, and not closed.
unsafe fn watched<'a>(file: *mut sqlite3_file) -> &'a File {
    // SAFETY: `xOpen` wrote a `File` there; only `xClose` ends it, and SQLite
    // calls no method on a file during or after its `xClose`.
    unsafe { &*file.cast::<File>() }
}

/// Calls a method of the default VFS's file after a watched one.
macro_rules! real {
    ($file:expr, $method:ident $(, $arg:expr)*) => {{
        let file = $file;
        // SAFETY: SQLite calls methods on open files only, with the arguments
        // that the method behind, of the same type, expects.
        unsafe {
            let real = behind(file);
            let method = (*(*real).pMethods).$method;
            method.expect("unix files have every method of version 2")(real $(, $arg)*)
        }
    }};
}

unsafe extern "C" fn xOpen(
    vfs: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `vfs` is the table of `Registration::new`, its mount is leaked.
    let mount: &'static Mount = unsafe { &*(*vfs).pAppData.cast::<Mount>() };
    // SAFETY: the default VFS is valid as long as the process.
    let open = unsafe { (*mount.base).xOpen }.expect("every VFS can open");
    // SAFETY: SQLite's names are null or end in a zero byte.
    let path = unsafe { path_of(name) }
        .filter(|path| flags & WATCHED != 0 && mount.disk.watches(path))
        .map(Path::to_owned);
    let Some(path) = path else {
        // SAFETY: `file` has room for more than the default VFS asks for.
        return unsafe { open(mount.base, name, file, flags, out_flags) };
    };

    // SAFETY: SQLite allocated `file` by our table. Until the methods stand in
    // it, it counts as not open and will not be closed.
    let real = unsafe {
        (*file).pMethods = ptr::null();
        behind(file)
    };
    // SAFETY: `real` has the room that the default VFS asks for, and its own
    // table comes with it.
    let code = unsafe { open(mount.base, name, real, flags, out_flags) };
    if code != SQLITE_OK {
        return code;
    }
    // SAFETY: the default VFS has just opened the file behind.
    if let Err(code) = mount.disk.open(&path, || unsafe { contents(file) }) {
        real!(file, xClose);
        return code;
    }
    let seen = sqlite3_file { pMethods: &raw const METHODS };
    let disk = &mount.disk;
    // SAFETY: the allocation begins with room for a `File`, aligned for it.
    unsafe { file.cast::<File>().write(File { seen, disk, path }) };
    SQLITE_OK
}

/// The whole of a file that the default VFS has just opened behind `file`. Not
/// by a descriptor of our own: closing it would drop the process's locks.
///
/// # Safety
/// The file behind `file` must be open.
unsafe fn contents(file: *mut sqlite3_file) -> Result<Vec<u8>, c_int> {
    let mut size: sqlite3_int64 = 0;
    let code = real!(file, xFileSize, &raw mut size);
    if code != SQLITE_OK {
        return Err(code);
    }
    let length = c_int::try_from(size).map_err(|_| SQLITE_IOERR)?;
    let mut bytes = vec![0; length as usize];
    match real!(file, xRead, bytes.as_mut_ptr().cast(), length, 0) {
        SQLITE_OK => Ok(bytes),
        code => Err(code),
    }
}

unsafe extern "C" fn xDelete(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: as in `xOpen`.
    let mount = unsafe { &*(*vfs).pAppData.cast::<Mount>() };
    let real = || {
        // SAFETY: as in `xOpen`; the name is SQLite's own.
        unsafe {
            let delete = (*mount.base).xDelete.expect("every VFS can delete");
            delete(mount.base, name, sync_folder)
        }
    };
    // SAFETY: SQLite's names are null or end in a zero byte.
    match unsafe { path_of(name) } {
        Some(path) if mount.disk.watches(path) => mount.disk.delete(path, sync_folder != 0, real),
        _ => real(),
    }
}

/// # Safety
/// `name` must be null or end in a zero byte, and stay while the path is used.
unsafe fn path_of<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    let name = unsafe { CStr::from_ptr(name) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn xClose(file: *mut sqlite3_file) -> c_int {
    let code = real!(file, xClose);
    // SAFETY: `file` is a watched file, and SQLite does not use it again.
    let closed = unsafe { file.cast::<File>().read() };
    closed.disk.close();
    code
}

unsafe extern "C" fn xRead(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: our methods stand in watched files only.
    let this = unsafe { watched(file) };
    this.disk.read(|| real!(file, xRead, buffer, length, at))
}

unsafe extern "C" fn xWrite(
    file: *mut sqlite3_file,
    buffer: *const c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: our methods stand in watched files only; SQLite lends `length`
    // bytes, at least one, for the time of the call.
    let (this, bytes) = unsafe {
        let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), length as usize);
        (watched(file), bytes)
    };
    this.disk.write(&this.path, at as usize, bytes, |landing| {
        let length = landing.len() as c_int;
        real!(file, xWrite, landing.as_ptr().cast(), length, at)
    })
}

unsafe extern "C" fn xTruncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: our methods stand in watched files only.
    let this = unsafe { watched(file) };
    let real = || real!(file, xTruncate, size);
    this.disk.truncate(&this.path, size as usize, real)
}

/// The only call that is not passed on: the simulated disk decides the result, and
/// waiting for the real one would only make tests slow.
unsafe extern "C" fn xSync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: our methods stand in watched files only.
    let this = unsafe { watched(file) };
    this.disk.sync(&this.path)
}

/// Methods that neither fail on demand nor change a file's content.
macro_rules! forward {
    ($($method:ident($($arg:ident: $type:ty),*) $(-> $code:ty)?;)*) => {$(
        unsafe extern "C" fn $method(file: *mut sqlite3_file $(, $arg: $type)*) $(-> $code)? {
            real!(file, $method $(, $arg)*)
        }
    )*};
}

forward! {
    xFileSize(size: *mut sqlite3_int64) -> c_int;
    xLock(level: c_int) -> c_int;
    xUnlock(level: c_int) -> c_int;
    xCheckReservedLock(out: *mut c_int) -> c_int;
    xFileControl(op: c_int, arg: *mut c_void) -> c_int;
    xSectorSize() -> c_int;
    xDeviceCharacteristics() -> c_int;
    xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
    xShmBarrier();
    xShmUnmap(delete: c_int) -> c_int;
}

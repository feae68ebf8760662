//! Writing local files: a value is there as a whole, or as it was before.
//!
//! The bytes go to a file that has no name yet (`O_TMPFILE`), which a killed process leaves nothing of; complete, it gets
//! the value's name. Where a value is replaced, it first gets a name of its own in the same folder, and is renamed.
//! File systems without nameless files get the second step only.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::local::{LocalFile, LocalStore};
use crate::engine::error::Result;

impl LocalStore {
    /// Set the value of `key` to the concatenation of `parts`. `sync`: it is on the disk when this returns.
    pub fn put(&self, key: &str, parts: &[Part<'_>], sync: bool) -> Result<()> {
        let path = self.root.join(key);
        put(&path, parts, sync, &self.losing).map_err(|e| self.error(key, "write", &e))
    }

    /// Remove the value of `key`, if there is one.
    pub fn delete(&self, key: &str, sync: bool) -> Result<()> {
        let path = self.root.join(key);
        let removed = match fs::remove_file(&path) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            Ok(()) if sync => sync_folder(&path),
            removed => removed,
        };
        removed.map_err(|e| self.error(key, "remove", &e))
    }

    /// Every key that begins with `prefix` and a `/` (every key at all, for the empty prefix).
    pub fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let (mut folders, mut keys) = (vec![prefix.to_owned()], vec![]);
        while let Some(folder) = folders.pop() {
            let failed = |e: &io::Error| self.error(&folder, "list", e);
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                entries => entries.map_err(|e| failed(&e))?,
            };
            for entry in entries {
                let entry = entry.map_err(|e| failed(&e))?;
                // No key of ours is of another kind than UTF-8.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(key),
                    Ok(_) => keys.push(key),
                    // File systems that do not say it of an entry are asked again, and it may have gone.
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => return Err(failed(&e)),
                }
            }
        }
        Ok(keys)
    }

    /// Remove the folders under `prefix` that hold nothing.
    pub fn prune(&self, prefix: &str) {
        fn prune(folder: &Path, losing: &AtomicUsize) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    prune(&entry.path(), losing);
                    if losing.load(Ordering::Relaxed) == 0 {
                        // Fails, as it should, where something is left.
                        let _ = fs::remove_dir(entry.path());
                    }
                }
            }
        }
        prune(&self.root.join(prefix), &self.losing);
    }
}

fn put(path: &Path, parts: &[Part<'_>], sync: bool, losing: &AtomicUsize) -> io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut kept: Option<Temporary> = None;
    in_folder(folder, losing, || {
        // A nameless file is as good in a folder made again, which it needs for a moment only, however large it is.
        // One that has a name has gone with its folder.
        let complete = match kept.take().filter(|file| file.name.is_none()) {
            None => Temporary::write(path, folder, parts, sync)?,
            Some(complete) => complete,
        };
        kept.insert(complete).publish(path)
    })?;
    if sync { sync_folder(path) } else { Ok(()) }
}

/// Make an entry of a folder, and the folder where it is missing: again when somebody prunes it in between.
///
/// Who has lost it some times keeps others of this process from it, by `losing`.
fn in_folder(
    folder: &Path,
    losing: &AtomicUsize,
    mut make: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    /// How often somebody may have removed the folder. Nobody is that unlucky: then it is something else.
    const GONE: usize = 10_000;
    const SOME: usize = 20;
    /// How often in a row it may be there again already, as another writer has made it.
    const THERE: usize = 100;
    let (mut there, mut _losing) = (0, None);
    for lost in 0..GONE {
        if lost == SOME {
            _losing = Some(Losing::new(losing));
        }
        match make() {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            // What ext4 says of a nameless file in a folder that has just gone.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {}
            made => return made,
        }
        there = if fs::symlink_metadata(folder).is_ok() { there + 1 } else { 0 };
        if there == THERE {
            break;
        }
        match fs::create_dir_all(folder) {
            // Somebody has removed what this, or another writer, has made of it.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {}
            made => made?,
        }
    }
    make()
}

/// Is counted as long as it lives.
struct Losing<'a>(&'a AtomicUsize);

impl<'a> Losing<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Losing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Some bytes of a value that is written.
#[derive(Clone)]
pub enum Part<'a> {
    Bytes(&'a [u8]),
    /// A range of another value, which the system copies.
    Copy(&'a LocalFile, Range<u64>),
}

impl Part<'_> {
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Copy(_, range) => range.end - range.start,
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

fn write_all(file: &mut File, parts: &[Part<'_>]) -> io::Result<()> {
    for parts in parts.chunk_by(|a, b| a.bytes().is_some() && b.bytes().is_some()) {
        match &parts[0] {
            Part::Copy(from, range) => copy(from, range.clone(), file)?,
            Part::Bytes(_) => write_slices(file, parts.iter().filter_map(Part::bytes))?,
        }
    }
    Ok(())
}

fn write_slices<'a>(file: &mut File, parts: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    /// What one system call takes.
    const AT_ONCE: usize = 1024;
    let mut slices: Vec<_> = parts.filter(|part| !part.is_empty()).map(IoSlice::new).collect();
    for slices in slices.chunks_mut(AT_ONCE) {
        let mut left = slices;
        while !left.is_empty() {
            match file.write_vectored(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut left, n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// Copy a range of a file to the end of another: by the system, where it can.
fn copy(from: &LocalFile, range: Range<u64>, to: &mut File) -> io::Result<()> {
    let mut source = &from.file;
    source.seek(SeekFrom::Start(range.start))?;
    let len = range.end - range.start;
    match io::copy(&mut source.take(len), to)? {
        copied if copied == len => Ok(()),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// A change of an entry lasts once its folder is on the disk: or what is left above it, where somebody has removed that.
fn sync_folder(path: &Path) -> io::Result<()> {
    let open = |folder| match File::open(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        opened => Some(opened),
    };
    path.ancestors().skip(1).find_map(open).ok_or(ErrorKind::InvalidInput)??.sync_all()
}

/// A file that is being written, and is gone if it is not published.
struct Temporary {
    file: File,
    /// `None`: it has no name.
    name: Option<PathBuf>,
}

impl Temporary {
    /// A file with all the bytes of a value; `sync`: on the disk.
    fn write(path: &Path, folder: &Path, parts: &[Part<'_>], sync: bool) -> io::Result<Self> {
        let mut temporary = Self::create(path, folder)?;
        write_all(&mut temporary.file, parts)?;
        if sync {
            temporary.file.sync_data()?;
        }
        Ok(temporary)
    }

    fn create(path: &Path, folder: &Path) -> io::Result<Self> {
        match nameless(folder) {
            Some(Ok(file)) => Ok(Self { file, name: None }),
            Some(Err(e)) => Err(e),
            None => {
                let name = temporary_name(path);
                let file = OpenOptions::new().write(true).create_new(true).open(&name)?;
                Ok(Self { file, name: Some(name) })
            }
        }
    }

    /// Give the file its name, in place of whatever has it.
    fn publish(&mut self, path: &Path) -> io::Result<()> {
        if self.name.is_none() {
            match link(&self.file, path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                linked => return linked,
            }
            let name = temporary_name(path);
            link(&self.file, &name)?;
            self.name = Some(name);
        }
        fs::rename(self.name.as_ref().expect("it has one by now"), path)?;
        self.name = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = fs::remove_file(name);
        }
    }
}

/// A name in the same folder that no key has: hidden, and different for every process and call.
fn temporary_name(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (process, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    path.with_file_name(format!(".{name}.{process}-{n}.tmp"))
}

/// A file without a name in `folder`; `None` where the system has no such thing.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<io::Result<File>> {
    // A file without a name is reached through there alone.
    static REACHED: LazyLock<bool> = LazyLock::new(|| Path::new("/proc/self/fd").is_dir());
    if !*REACHED {
        return None;
    }
    let opened = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).mode(0o666).open(folder);
    match opened {
        // What kernels and file systems answer that do not know the flag.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => None,
        opened => Some(opened),
    }
}

#[cfg(not(target_os = "linux"))]
fn nameless(_folder: &Path) -> Option<io::Result<File>> {
    None
}

/// Give a nameless file a name that nobody has.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("no NUL");
    let to = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both are strings that end with a NUL and live for the call.
    let rc = unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_as_a_whole_and_nothing_else_is_left() {
        let root = tempfile::tempdir().unwrap();
        let store = LocalStore::new(root.path().to_owned());
        let long = vec![7; 100_000];
        store.put("a/c/0", &["first", "", " value"].map(|part| Part::Bytes(part.as_bytes())), false).unwrap();
        let mut opened = store.open("a/c/0").unwrap().unwrap();
        let parts =
            [Part::Copy(&opened, 6..9), Part::Bytes(&long), Part::Bytes(b"end"), Part::Copy(&opened, 0..2)];
        store.put("a/c/0", &parts, true).unwrap();
        let value = store.get("a/c/0", 1 << 20).unwrap().unwrap();
        assert_eq!(value, [&b"val"[..], &long, b"end", b"fi"].concat());
        // Who has it open reads what it was.
        let mut before = [0; 11];
        opened.read_at(&mut before, 0).unwrap();
        assert_eq!(&before, b"first value");
        opened = store.open("a/c/0").unwrap().unwrap();
        assert_eq!(opened.size(), 100_008);
        assert_eq!(store.list("").unwrap(), ["a/c/0"]);
        store.delete("a/c/0", true).unwrap();
        store.delete("a/c/0", false).unwrap();
        store.prune("");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    /// Put and delete a value of `size` bytes `times` times, while `pruners` threads prune all the time.
    fn put_while_pruned(times: usize, size: usize, pruners: usize) {
        let root = tempfile::tempdir().unwrap();
        let store = LocalStore::new(root.path().to_owned());
        let (value, done) = (vec![7; size], std::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..pruners {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        store.prune("");
                    }
                });
            }
            let mut change = (0..times).map(|i| {
                store.put("a/c/0", &[Part::Bytes(&value)], i % 100 == 0)?;
                store.delete("a/c/0", i % 100 == 0)
            });
            let changed = change.find(Result::is_err).unwrap_or(Ok(()));
            done.store(true, Ordering::Relaxed);
            changed.unwrap();
        });
    }

    #[test]
    fn a_folder_that_is_pruned_meanwhile_is_made_again() {
        put_while_pruned(2000, 5, 1);
    }

    #[test]
    fn a_large_value_is_as_safe_from_those_who_prune() {
        put_while_pruned(200, 1 << 20, 3);
    }

    #[test]
    fn a_folder_may_be_pruned_a_thousand_times_in_front_of_a_value() {
        let root = tempfile::tempdir().unwrap();
        let (folder, mut pruned) = (root.path().join("a/c"), 0);
        in_folder(&folder, &AtomicUsize::new(0), || {
            if fs::remove_dir(&folder).is_ok() {
                pruned += 1;
            }
            if pruned == 1000 {
                fs::create_dir_all(&folder)?;
            }
            File::create(folder.join("0")).map(drop)
        })
        .unwrap();
        assert!(pruned == 1000 && folder.join("0").is_file());
    }

    #[test]
    fn who_prunes_gives_way_to_a_writer_that_keeps_losing() {
        let root = tempfile::tempdir().unwrap();
        let store = LocalStore::new(root.path().to_owned());
        let (folder, mut tries) = (root.path().join("a/c"), 0);
        in_folder(&folder, &store.losing, || {
            tries += 1;
            store.prune("");
            File::create(folder.join("0")).map(drop)
        })
        .unwrap();
        assert!(tries < 30, "{tries} tries");
        store.delete("a/c/0", false).unwrap();
        store.prune("");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_complete_file_is_not_written_again_for_the_folder_made_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a");
        let path = folder.join("0");
        fs::create_dir(&folder).unwrap();
        let mut complete = Temporary::write(&path, &folder, &[Part::Bytes(b"x")], false).unwrap();
        if complete.name.is_some() {
            return; // No nameless files here: this one holds its folder.
        }
        fs::remove_dir(&folder).unwrap();
        assert_eq!(complete.publish(&path).unwrap_err().kind(), ErrorKind::NotFound);
        fs::create_dir(&folder).unwrap();
        complete.publish(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn an_error_of_another_cause_is_soon_an_error() {
        let root = tempfile::tempdir().unwrap();
        for error in [libc::ENOENT, libc::EPERM] {
            let mut tries = 0;
            let made = in_folder(root.path(), &AtomicUsize::new(0), || {
                tries += 1;
                Err(io::Error::from_raw_os_error(error))
            });
            assert_eq!(made.unwrap_err().raw_os_error(), Some(error));
            assert!(tries < 200, "{tries} tries");
        }
    }

    #[test]
    fn without_nameless_files_a_name_of_its_own_serves() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("0");
        let name = temporary_name(&path);
        let file = OpenOptions::new().write(true).create_new(true).open(&name).unwrap();
        let mut temporary = Temporary { file, name: Some(name) };
        write_all(&mut temporary.file, &[Part::Bytes(b"x")]).unwrap();
        temporary.publish(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
        let name = temporary_name(&path);
        drop(Temporary { file: File::create(&name).unwrap(), name: Some(name) });
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}

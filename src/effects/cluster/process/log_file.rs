//! The file that a process writes its output to. The process holds the file itself, so it goes on
//! writing when falconer is gone; falconer only rotates it, by copying and truncating.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::super::log_end::end_of;

/// How much of the end of the file is searched for the last line, in bytes.
const TAIL_BYTES: u64 = 4096;
/// Longest last line that is shown, in bytes.
const LINE_LIMIT: usize = 200;

/// One log file and its rotated predecessors `….1` (newest) to `….n`.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
}

impl LogFile {
    /// Rotates `path` above `max_bytes` (0 = never) and keeps `keep` old ones.
    pub(super) fn new(path: &Path, max_bytes: u64, keep: u32) -> Self {
        Self { path: path.to_owned(), max_bytes, keep }
    }

    /// Opens the file for appending, and makes it and its folder where they are missing. Appending
    /// matters: a writer with an offset of its own would leave a hole after each rotation.
    pub(super) fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        OpenOptions::new().append(true).create(true).open(&self.path)
    }

    /// Its size in bytes; 0 where it does not exist.
    pub(super) fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// The last line that is not empty of what was written from the byte `from` on, cut to a
    /// bounded length.
    pub(super) fn last_line(&self, from: u64) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        let length = file.metadata().ok()?.len();
        // Rotated meanwhile: everything in it is newer.
        let from = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES)))).ok()?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
        let tail = String::from_utf8_lossy(&tail);
        let line = tail.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        Some(line[..line.floor_char_boundary(LINE_LIMIT)].to_owned())
    }

    /// The newest lines, at most `lines` and `bytes`; of the last rotated file where the present one
    /// is empty.
    ///
    /// # Errors
    /// When neither can be read.
    pub(super) fn end(&self, lines: u32, bytes: u32) -> io::Result<String> {
        match end_of_file(&self.path, lines, bytes) {
            Ok(text) if text.is_empty() => {
                Ok(end_of_file(&self.rotated("1"), lines, bytes).unwrap_or_default())
            }
            read => read,
        }
    }

    /// Rotates where it has grown too large; true if it did. Lines written between the copy and the
    /// truncation are lost, and of a file that grew far beyond its limit only the end is kept.
    ///
    /// # Errors
    /// When the copy fails (a full disk, as a rule). The file is then cut all the same once it has
    /// twice its size: a log must never fill what is left of the disk.
    pub(super) fn rotate_if_needed(&self) -> io::Result<bool> {
        let size = self.size();
        if self.max_bytes == 0 || size <= self.max_bytes {
            return Ok(false);
        }
        let copied = self.copy_to_newest(size);
        if copied.is_ok() || size > self.max_bytes.saturating_mul(2) {
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
        }
        copied.map(|()| true)
    }

    fn copy_to_newest(&self, size: u64) -> io::Result<()> {
        if self.keep == 0 {
            return Ok(());
        }
        // Copied under another name first, so that a failed copy costs no older file.
        let unfinished = self.rotated("new");
        let copied = self.copy_tail(size, &unfinished);
        if copied.is_err() {
            let _ = fs::remove_file(&unfinished);
            return copied;
        }
        for number in (1..self.keep).rev() {
            let older = self.rotated(&number.to_string());
            if older.exists() {
                fs::rename(older, self.rotated(&(number + 1).to_string()))?;
            }
        }
        fs::rename(unfinished, self.rotated("1"))
    }

    fn copy_tail(&self, size: u64, to: &Path) -> io::Result<()> {
        let mut from = File::open(&self.path)?;
        from.seek(SeekFrom::Start(size.saturating_sub(self.max_bytes.saturating_mul(2))))?;
        let mut to = File::create(to)?;
        io::copy(&mut from.take(self.max_bytes.saturating_mul(2)), &mut to)?;
        to.sync_all()
    }

    fn rotated(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".");
        name.push(suffix);
        PathBuf::from(name)
    }
}

fn end_of_file(path: &Path, lines: u32, bytes: u32) -> io::Result<String> {
    // A terminal's colours and the like cost no room.
    let most = u64::from(bytes).saturating_mul(2);
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut tail = Vec::new();
    file.take(most).read_to_end(&mut tail)?;
    let text = end_of(&tail, usize::try_from(bytes).unwrap_or(usize::MAX));
    let skipped = text.lines().count().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
    Ok(text.lines().skip(skipped).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn rotation_keeps_the_newest_files_and_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/milvus.log");
        let log = LogFile::new(&path, 20, 2);
        let mut writer = log.open().unwrap();
        assert!(!log.rotate_if_needed().unwrap());
        for round in 0..4 {
            writeln!(writer, "round {round} with some text").unwrap();
            assert!(log.rotate_if_needed().unwrap());
            assert_eq!(log.size(), 0);
        }
        write!(writer, "now").unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join("logs").join(name)).unwrap();
        assert_eq!(read("milvus.log"), "now");
        assert!(read("milvus.log.1").starts_with("round 3"));
        assert!(read("milvus.log.2").starts_with("round 2"));
        assert_eq!(fs::read_dir(folder.path().join("logs")).unwrap().count(), 3);
    }

    #[test]
    fn of_a_flood_only_the_end_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(&folder.path().join("flood.log"), 100, 1);
        let mut writer = log.open().unwrap();
        writer.write_all(&vec![b'x'; 100_000]).unwrap();
        writer.write_all(b"end").unwrap();
        assert!(log.rotate_if_needed().unwrap());
        let kept = fs::read_to_string(folder.path().join("flood.log.1")).unwrap();
        assert_eq!(kept.len(), 200);
        assert!(kept.ends_with("end"));
    }

    #[test]
    fn where_the_copy_fails_the_log_is_still_bounded_and_the_failure_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("milvus.log");
        let log = LogFile::new(&path, 10, 1);
        // A folder of that name stands in the way of the copy, as a full disk would.
        fs::create_dir(folder.path().join("milvus.log.new")).unwrap();
        let mut writer = log.open().unwrap();
        writer.write_all(&[b'x'; 15]).unwrap();
        assert!(log.rotate_if_needed().is_err());
        assert_eq!(log.size(), 15);
        writer.write_all(&[b'x'; 15]).unwrap();
        assert!(log.rotate_if_needed().is_err());
        assert_eq!(log.size(), 0);
    }

    #[test]
    fn the_end_is_bounded_in_lines_and_bytes_and_survives_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(&folder.path().join("a.log"), 10, 1);
        assert!(log.end(10, 100).is_err());
        let mut writer = log.open().unwrap();
        for number in 0..1000 {
            writeln!(writer, "line {number}").unwrap();
        }
        assert_eq!(log.end(2, 1000).unwrap(), "line 998\nline 999");
        assert_eq!(log.end(100, 20).unwrap(), "line 998\nline 999");
        assert!(log.rotate_if_needed().unwrap());
        assert_eq!(log.end(1, 1000).unwrap(), "line 999");
        writeln!(writer, "new").unwrap();
        assert_eq!(log.end(2, 1000).unwrap(), "new");
    }

    #[test]
    fn the_last_line_is_bounded_and_only_of_the_newest_run() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(&folder.path().join("a.log"), 0, 0);
        let mut writer = log.open().unwrap();
        writeln!(writer, "old run").unwrap();
        let from = log.size();
        assert_eq!(log.last_line(from), None);
        assert_eq!(log.last_line(0).as_deref(), Some("old run"));
        writeln!(writer, "panic: {}\n\n", "é".repeat(9000)).unwrap();
        assert!(log.last_line(from).unwrap().len() <= LINE_LIMIT);
        assert_eq!(log.last_line(1 << 40).unwrap(), log.last_line(from).unwrap());
    }
}

//! Notices that a file's content is another one. By reading it, not by events or dates: so it sees a
//! file that was renamed into place, the switch of a mounted ConfigMap's symbolic link, and a file
//! system that tells nobody. Never reads a file that is still being written: two readings in a row
//! must agree.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::effects::small_file;

/// How often the file is read.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How soon it is read again after a difference was seen.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Most bytes of a file that are read; a longer one cannot be a configuration.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// What a file held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// This.
    Hash(u64),
    /// It could not be read.
    Unreadable,
}

impl Content {
    /// The content of `path` now.
    pub fn of(path: &Path) -> Self {
        small_file::read_now(path, FILE_LIMIT).map_or(Self::Unreadable, |bytes| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            Self::Hash(hasher.finish())
        })
    }

    /// The same without blocking the caller's thread.
    pub async fn of_file(path: &Path) -> Self {
        let path = path.to_path_buf();
        let read = tokio::task::spawn_blocking(move || Self::of(&path)).await;
        read.unwrap_or(Self::Unreadable)
    }
}

/// Watches one file.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    /// What is known to its owner.
    known: Content,
    /// A difference that was seen once.
    seen: Option<Content>,
}

impl FileWatch {
    /// Watches `path`, of which `known` was read last.
    pub fn new(path: PathBuf, known: Content) -> Self {
        Self { path, known, seen: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its owner has read it, and it was `content`.
    pub fn read_as(&mut self, content: Content) {
        self.known = content;
        self.seen = None;
    }

    /// Waits until the content is another one, and stays so for a moment.
    pub async fn changed(&mut self) {
        loop {
            tokio::time::sleep(if self.seen.is_some() { LOOK_AGAIN } else { LOOK_EVERY }).await;
            let content = Content::of_file(&self.path).await;
            if self.is_news(content) {
                return;
            }
        }
    }

    fn is_news(&mut self, content: Content) -> bool {
        if content == self.known {
            self.seen = None;
            return false;
        }
        if self.seen.replace(content) != Some(content) {
            return false;
        }
        self.read_as(content);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_change_is_news_once_and_only_when_it_stays() {
        let mut watch = FileWatch::new("x".into(), Content::Hash(1));
        assert!(!watch.is_news(Content::Hash(1)));
        assert!(!watch.is_news(Content::Hash(2)), "half written");
        assert!(!watch.is_news(Content::Hash(3)), "still being written");
        assert!(watch.is_news(Content::Hash(3)));
        assert!(!watch.is_news(Content::Hash(3)));
        assert!(!watch.is_news(Content::Unreadable), "between unlink and rename");
        assert!(!watch.is_news(Content::Hash(3)));
        watch.read_as(Content::Hash(4));
        assert!(!watch.is_news(Content::Hash(4)), "read for another reason meanwhile");
    }

    #[test]
    fn the_switch_of_a_folder_behind_two_links_is_another_content() {
        let mount = tempfile::tempdir().unwrap();
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(mount.path().join(version)).unwrap();
            fs::write(mount.path().join(version).join("actors.toml"), text).unwrap();
        }
        symlink("..1", mount.path().join("..data")).unwrap();
        symlink("..data/actors.toml", mount.path().join("actors.toml")).unwrap();
        let file = mount.path().join("actors.toml");
        let before = Content::of(&file);
        symlink("..2", mount.path().join("..next")).unwrap();
        fs::rename(mount.path().join("..next"), mount.path().join("..data")).unwrap();
        assert_ne!(Content::of(&file), before);
        fs::remove_dir_all(mount.path().join("..2")).unwrap();
        assert_eq!(Content::of(&file), Content::Unreadable);
    }
}

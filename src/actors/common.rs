//! One copy of what most of ten thousand components have in common. Owns no meaning of what it keeps.

use std::sync::Arc;

/// Hands out the same copy for as long as it is asked for the same value.
#[derive(Debug, Default)]
pub struct Common<T> {
    newest: Arc<T>,
}

impl<T: PartialEq> Common<T> {
    /// `value`, shared with whoever asked for an equal one just before.
    pub fn share(&mut self, value: T) -> Arc<T> {
        if *self.newest != value {
            self.newest = Arc::new(value);
        }
        Arc::clone(&self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_copy_and_others_are_not() {
        let mut common = Common::default();
        let (first, again, other) = (common.share(7), common.share(7), common.share(8));
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!((*first, *other), (7, 8));
    }
}

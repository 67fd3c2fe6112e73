//! A store that could not be opened when the server started and may be opened later. Queries are
//! served without it.

use std::sync::{Arc, OnceLock};

use super::StoreError;
use super::calls::*;

/// Store of one server that is opened later. Until then every call fails with the reason.
pub struct LateStore {
    why: String,
    opened: OnceLock<Arc<dyn JobStore>>,
}

impl LateStore {
    /// Creates a store that is not open yet; `error` is the reason.
    #[must_use]
    pub fn new(error: &StoreError) -> Self {
        let text = error.to_string();
        Self { why: text.lines().next().unwrap_or_default().to_owned(), opened: OnceLock::new() }
    }

    /// Forwards all calls to `store` from now on. Only the first call of this method has an effect.
    pub fn open(&self, store: Arc<dyn JobStore>) {
        let _ = self.opened.set(store);
    }

    fn opened(&self) -> StoreResult<&Arc<dyn JobStore>> {
        self.opened.get().ok_or_else(|| StoreError::Unopened(self.why.clone()))
    }
}

macro_rules! late {
    ([$($counted:tt)*] $($other:tt)*) => { late! { $($counted)* $($other)* } };
    ($($name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl JobStore for LateStore {
            $(async fn $name(&self, $($value: $kind),*) -> StoreResult<$answer> {
                self.opened()?.$name($($value),*).await
            })*
        }
    };
}

calls!(late);

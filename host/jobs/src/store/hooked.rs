//! A store whose calls can be counted, delayed and failed, for tests of code that uses a store.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::calls::*;

/// Hook that runs before a call, with the name of its method. The call is made once the hook
/// resolves, unless the hook fails.
pub type Hook = Box<dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = StoreResult<()>> + Send>> + Send + Sync>;

/// A store with a hook before each call.
pub struct HookedStore {
    store: Arc<dyn JobStore>,
    hook: Hook,
    after: Option<Hook>,
}

impl HookedStore {
    /// Runs `hook` before each call to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn JobStore>, hook: Hook) -> Self {
        Self { store, hook, after: None }
    }

    /// Runs `after` once a call to the store has returned, before its caller learns the result.
    #[must_use]
    pub fn and_after(self, after: Hook) -> Self {
        Self { after: Some(after), ..self }
    }
}

macro_rules! hooked {
    ([$($counted:tt)*] $($other:tt)*) => { hooked! { $($counted)* $($other)* } };
    ($($name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl JobStore for HookedStore {
            $(async fn $name(&self, $($value: $kind),*) -> StoreResult<$answer> {
                (self.hook)(stringify!($name)).await?;
                let result = self.store.$name($($value),*).await;
                if let Some(after) = &self.after {
                    after(stringify!($name)).await?;
                }
                result
            })*
        }
    };
}

calls!(hooked);

//! Reloads of settings: a running server keeps those that it cannot change.

/// Restores fields from `$old`; records the keys of those that would have changed.
macro_rules! keep {
    ($changed:expr, $prefix:literal, $new:expr, $old:expr; $($field:ident)+) => {$(
        if $new.$field != $old.$field {
            $changed.push(concat!($prefix, stringify!($field)).replace('_', "-"));
            $new.$field.clone_from(&$old.$field);
        }
    )+};
}

pub(super) use keep;

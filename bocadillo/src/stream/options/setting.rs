//! One option of a stream.

/// An option that can also be switched off.
#[derive(Clone, Debug, Default)]
pub(super) enum Setting<T> {
    #[default]
    Unset,
    Off,
    On(T),
}

impl<T> Setting<T> {
    /// This setting, or `other` where nothing is set.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Unset => other(),
            set => set,
        }
    }

    /// The value. `default` holds where nothing is set.
    pub(super) fn get(&self, default: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Unset => default,
            Self::Off => None,
            Self::On(value) => Some(value.clone()),
        }
    }
}

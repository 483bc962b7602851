//! Paging of listings.

/// Which part of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most this many rows; adapters cap it at [`Page::MAX`].
    pub limit: u32,
    /// Rows to pass over.
    pub offset: u64,
}

impl Page {
    /// The most rows that one page has.
    pub const MAX: u32 = 1_000;

    /// The first page of `limit` rows.
    pub const fn first(limit: u32) -> Self {
        Self { limit, offset: 0 }
    }

    /// The limit to use in a query.
    pub const fn capped_limit(self) -> u32 {
        if self.limit == 0 || self.limit > Self::MAX { Self::MAX } else { self.limit }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first(100)
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// How many rows there are in all.
    pub total: u64,
}

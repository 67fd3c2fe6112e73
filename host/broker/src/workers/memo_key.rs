//! Keys of memos, and the tokens that are made with them. A key stays at the roots that may run its
//! query. A worker knows the memo's id, and a token for each attempt that it was given, so it can
//! hand over no partials of other attempts.

use bytes::Bytes;
use frond_root::{AttemptId, DigestWriter, Memo, Ticket};
use subtle::ConstantTimeEq;

use crate::frames::TOKEN;

/// Key of a memo.
pub(super) struct MemoKey(Bytes);

/// Fields of an order that its token authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenClaim {
    /// Epoch of the run.
    pub(super) epoch: u64,
    /// The attempt.
    pub(super) id: AttemptId,
    /// First unit of its share; 0 without one.
    pub(super) begin: u64,
}

impl MemoKey {
    pub(super) fn new(key: Bytes) -> Self {
        Self(key)
    }

    /// Id of the memo, from which nobody learns the key.
    pub(super) fn id(&self) -> Bytes {
        Bytes::copy_from_slice(&self.keyed(b"frond-memo-id").finish().0)
    }

    /// Token of an attempt: a message authentication code of the claim. It is the hash of the key
    /// and of a hash of the key and the claim, as NMAC nests them, with SHA-256 and with the length
    /// before each field. The first [`TOKEN`] bytes of it are used.
    pub(super) fn token(&self, claim: &TokenClaim) -> Bytes {
        let TokenClaim { epoch, id, begin } = claim;
        let mut inner = self.keyed(b"frond-memo-claim");
        inner.add_whole(&epoch.to_le_bytes());
        inner.add_whole(&id.partition.to_le_bytes());
        inner.add_whole(&id.number.to_le_bytes());
        inner.add_whole(&begin.to_le_bytes());
        let mut outer = self.keyed(b"frond-memo-token");
        outer.add_whole(&inner.finish().0);
        outer.finish().0.iter().take(TOKEN).copied().collect()
    }

    /// True for the token of the claim. Compares in constant time, so that no answer tells how much
    /// of a guess was right.
    pub(super) fn verify(&self, claim: &TokenClaim, token: &[u8]) -> bool {
        self.token(claim).ct_eq(token).into()
    }

    /// Digest of a purpose and the key, to which more can be added.
    fn keyed(&self, purpose: &[u8]) -> DigestWriter {
        let mut digest = DigestWriter::default();
        digest.add_whole(purpose);
        digest.add_whole(&self.0);
        digest
    }
}

/// Token of an attempt of a query with this memo.
pub(super) fn token_of(memo: &Memo, ticket: &Ticket) -> Bytes {
    let begin = ticket.share.as_deref().map_or(0, |share| share.stretch().begin);
    MemoKey::new(memo.key.clone()).token(&TokenClaim { epoch: memo.epoch, id: ticket.id, begin })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const CLAIM: TokenClaim = TokenClaim { epoch: 7, id: AttemptId { partition: 3, number: 2 }, begin: 40 };

    fn key(key: &'static [u8]) -> MemoKey {
        MemoKey::new(Bytes::from_static(key))
    }

    #[test]
    fn a_token_holds_for_its_claim_alone() {
        let id = |partition, number| AttemptId { partition, number };
        let claims = [
            CLAIM,
            TokenClaim { epoch: 8, ..CLAIM },
            TokenClaim { id: id(4, 2), ..CLAIM },
            TokenClaim { id: id(3, 1), ..CLAIM },
            TokenClaim { id: id(2, 3), ..CLAIM },
            TokenClaim { begin: 39, ..CLAIM },
            TokenClaim { begin: 41, ..CLAIM },
            TokenClaim { begin: 0, ..CLAIM },
        ];
        let key = key(b"key");
        for claim in &claims {
            let token = key.token(claim);
            assert_eq!(token.len(), TOKEN);
            claims
                .iter()
                .for_each(|other| assert_eq!(key.verify(other, &token), claim == other, "{claim:?} {other:?}"));
        }
    }

    #[test]
    fn a_token_holds_under_its_key_alone_and_as_a_whole() {
        let token = key(b"key").token(&CLAIM);
        for other in [b"".as_slice(), b"ke", b"key ", b"another"] {
            assert!(!key(other).verify(&CLAIM, &token));
        }
        let longer = [&*token, b"\0"].concat();
        let mut flipped = token.to_vec();
        flipped[TOKEN - 1] ^= 1;
        for wrong in [b"".as_slice(), &token[1..], &token[..TOKEN - 1], &longer, &flipped] {
            assert!(!key(b"key").verify(&CLAIM, wrong));
        }
    }

    #[test]
    fn an_id_is_neither_the_key_nor_a_token() {
        let ids: HashSet<_> = [b"".as_slice(), b"key", b"key "].map(|of| key(of).id()).into();
        assert_eq!(ids.len(), 3);
        let id = key(b"key").id();
        assert_eq!(id, key(b"key").id());
        assert_eq!(id.len(), crate::frames::MEMO_ID);
        assert!(!key(b"key").verify(&CLAIM, &id[..TOKEN]));
    }
}

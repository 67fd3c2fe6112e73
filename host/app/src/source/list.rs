//! The partitions that `frond.toml` lists.

use std::fs;
use std::io::ErrorKind;

use frond_root::Partition;

use super::content::Piece;
use super::{Listed, ListedContent, files};
use crate::error::{AppError, Origin};
use crate::size::show_size;

/// In the order of the list. Files are looked at now and read later.
pub(super) fn partitions(listed: &[Listed], limit: u64) -> Result<Vec<Partition>, AppError> {
    listed
        .iter()
        .map(|one| {
            let partition = match &one.content {
                ListedContent::Inline(data) => Partition::new(one.key.clone(), data.clone()),
                ListedContent::File(path) => {
                    let origin = Origin::Written(one.at.clone());
                    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                        let text = format!("there is no file `{}`", path.display());
                        return Err(origin.refuse(text, "paths are relative to frond.toml"));
                    }
                    let file = files::plan(path, &origin)?;
                    if file.size() > limit {
                        let (path, size) = (path.display(), file.size());
                        let text =
                            format!("`{path}` has {size} bytes, more than a partition may have: {}", show_size(limit));
                        let hint = "raise limits.leaf.partition, or cut it: source.kind = \"files\"";
                        return Err(origin.refuse(text, hint));
                    }
                    Partition::new(one.key.clone(), Piece::whole(file))
                }
            };
            Ok(match one.weight {
                Some(weight) => partition.weighing(weight),
                None => partition,
            })
        })
        .collect()
}

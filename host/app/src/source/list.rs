//! Partitions that `frond.toml` lists.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use frond_root::{Notes, Partition};

use super::content::Piece;
use super::cut::Cutting;
use super::files::{Body, FileProblem, Planning, too_large};
use super::memory::of_bytes;
use super::{Listed, ListedContent};
use crate::error::{AppError, Origin};
use crate::size::show_size;

/// Returns the partitions in the order of the list. Files, relative to `dir`, are examined now and
/// read later. A file that cannot be read becomes a missing partition.
///
/// # Errors
/// The first partition's problem, if no partition can be read.
pub(super) fn partitions(
    listed: &[Listed],
    dir: &Path,
    notes: &Arc<Notes>,
    cutting: Cutting,
) -> Result<Vec<Partition>, AppError> {
    let mut partitions = Vec::with_capacity(listed.len());
    let mut first = None;
    let mut read = false;
    for one in listed {
        let origin = Origin::Written(one.at.clone());
        let mut planning = Planning::new(dir, &origin, notes, cutting.limit);
        let partition = match content(one, dir, &mut planning, cutting) {
            Ok(partition) => {
                read = true;
                partition
            }
            Err(loss) => {
                let partition = Partition::new(one.key.clone(), loss.content());
                first.get_or_insert_with(|| loss.into_error(&origin));
                partition
            }
        };
        partitions.push(match one.weight {
            Some(weight) => partition.weighing(weight),
            None => partition,
        });
    }
    match first {
        Some(error) if !read => Err(error),
        _ => Ok(partitions),
    }
}

fn content(one: &Listed, dir: &Path, planning: &mut Planning<'_>, cutting: Cutting) -> Result<Partition, FileProblem> {
    let path = match &one.content {
        ListedContent::Inline(data) => {
            let partition = Partition::new(one.key.clone(), data.clone());
            return Ok(Partition { content: of_bytes(data.clone()), ..partition });
        }
        ListedContent::File(path) => path,
    };
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Err(FileProblem::absent(path));
    }
    // Only paths in the app's folder may differ between hosts.
    let name = path.strip_prefix(dir).unwrap_or(path);
    match planning.look(name, false)?.body {
        Body::Bytes(bytes) => Ok(Partition::new(one.key.clone(), bytes)),
        Body::File(file) if file.size() > cutting.limit => {
            Err(too_large(path, file.size(), &show_size(cutting.limit), "cut the file: source.kind = \"files\""))
        }
        Body::File(file) => {
            let is_one = cutting.is_compressed(&file);
            let whole = Piece::whole(file);
            Ok(Partition::new(one.key.clone(), if is_one { whole.undivided() } else { whole }))
        }
    }
}

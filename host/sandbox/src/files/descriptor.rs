//! Read-only `wasi:filesystem`: functions that change something are denied, and functions that only
//! advise do nothing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use cap_primitives::fs::{Metadata, MetadataExt, read_link};
use wasmtime::StoreContextMut;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode,
    Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::Node;
use super::error::FileError;
use super::listing::Listing;
use super::stream::FileStream;
use super::system::{self, OpenMode};
use crate::escape::quoted;
use crate::host::Host;

/// Links the interfaces. `version` must be that of WASI's own, which they replace.
pub(crate) fn link(linker: &mut Linker<Host>, version: &str) -> wasmtime::Result<()> {
    types::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    linker.instance(&format!("wasi:filesystem/preopens@{version}"))?.func_wrap_async(
        "get-directories",
        |mut store: StoreContextMut<'_, Host>, (): ()| {
            Box::new(async move { Ok((store.data_mut().folders().await?,)) })
        },
    )
}

/// Denies a change: granted folders are read-only.
fn read_only<T>() -> FsResult<T> {
    Err(ErrorCode::NotPermitted.into())
}

impl Host {
    /// Returns the granted folders, opened on first use. A folder that cannot be opened is left out
    /// and recorded as denied.
    async fn folders(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let folders = match self.folders.take() {
            Some(folders) => folders,
            None => self.open_folders().await,
        };
        let mut given = Vec::new();
        for (node, name) in &folders {
            given.push((Resource::new_own(self.table.push(node.clone())?.rep()), name.clone()));
        }
        self.folders = Some(folders);
        Ok(given)
    }

    async fn open_folders(&mut self) -> Vec<(Arc<Node>, String)> {
        let directories = self.granted.get().map(|grants| grants.app.directories.clone()).unwrap_or_default();
        let files = self.files();
        let mut opened = Vec::new();
        for directory in directories {
            match files.folder(&directory).await {
                Ok(node) => opened.push((node, directory.guest)),
                Err(refused) => {
                    let what = format!("the folder granted as {} cannot be opened: {}", directory.guest, refused.why());
                    self.refuse(&what, "check the folder, or remove the grant from frond.toml");
                }
            }
        }
        opened
    }

    fn node(&self, fd: &Resource<Descriptor>) -> Result<Arc<Node>, FsError> {
        Ok(self.table.get(&Resource::<Arc<Node>>::new_borrow(fd.rep()))?.clone())
    }

    fn regular(&self, fd: &Resource<Descriptor>) -> Result<Arc<Node>, FsError> {
        let node = self.node(fd)?;
        if node.is_folder { Err(ErrorCode::BadDescriptor.into()) } else { Ok(node) }
    }

    fn directory(&self, fd: &Resource<Descriptor>) -> Result<Arc<Node>, FsError> {
        let node = self.node(fd)?;
        if node.is_folder { Ok(node) } else { Err(ErrorCode::NotDirectory.into()) }
    }

    /// Converts a failed operation on `what` into the guest's error, and records it if it is a
    /// denial.
    fn fs_error(&mut self, what: &str, refused: &FileError) -> FsError {
        if let Some((why, remedy)) = refused.note() {
            self.refuse(&format!("asked for {what}, {why}"), remedy);
        }
        refused.code().into()
    }

    /// Reads the metadata of an open file or folder.
    async fn look<T: Send + 'static>(&mut self, node: Arc<Node>, of: fn(&Metadata) -> T) -> FsResult<T> {
        let files = self.files();
        let lane = node.file.lane.clone();
        let found = files.call(&lane, move || Ok(of(&Metadata::from_file(node.file()?)?))).await;
        found.map_err(|refused| self.fs_error("the state of a file", &refused))
    }

    /// Reads the metadata of a path.
    async fn look_at<T: Send + 'static>(
        &mut self,
        fd: &Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        of: fn(&Metadata) -> T,
    ) -> FsResult<T> {
        let node = self.directory(fd)?;
        let files = self.files();
        let lane = node.file.lane.clone();
        let name = quoted(&path);
        let follow = flags.contains(PathFlags::SYMLINK_FOLLOW);
        let look = move || Ok(of(&system::metadata_at(node.file()?, Path::new(&path), follow)?));
        let found = files.call(&lane, look).await;
        found.map_err(|refused| self.fs_error(&format!("the state of the file {name}"), &refused))
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Computes the hash as WASI's own implementation does: both halves are one digest.
fn hash(found: &Metadata) -> MetadataHashValue {
    let mut hasher = DefaultHasher::new();
    identity(found).hash(&mut hasher);
    let lower = hasher.finish();
    MetadataHashValue { lower, upper: lower ^ 0x4009_21fb_5444_2d18 }
}

impl types::Host for Host {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<std::io::Error>().map(ErrorCode::from))
    }
}

impl HostDescriptor for Host {
    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let node = self.directory(&fd)?;
        let sync = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if flags.intersects(sync) {
            return Err(ErrorCode::Unsupported.into());
        }
        let changes = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE;
        if open.contains(OpenFlags::DIRECTORY) && open.intersects(changes) {
            return Err(ErrorCode::Invalid.into());
        }
        if flags.contains(DescriptorFlags::WRITE) || open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE) {
            return read_only();
        }
        let how = OpenMode {
            follow: path_flags.contains(PathFlags::SYMLINK_FOLLOW),
            folder: open.contains(OpenFlags::DIRECTORY),
        };
        let files = self.files();
        let name = quoted(&path);
        match files.open(node, path, how).await {
            Ok(node) => Ok(Resource::new_own(self.table.push(Arc::new(node))?.rep())),
            Err(refused) => Err(self.fs_error(&format!("the file {name}"), &refused)),
        }
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Arc<Node>>::new_own(fd.rep()))?;
        Ok(())
    }

    async fn read(&mut self, fd: Resource<Descriptor>, len: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        let node = self.regular(&fd)?;
        let files = self.files();
        let lane = node.file.lane.clone();
        let read = files.call(&lane, move || Ok(system::read(node.file()?, offset, len)?)).await;
        let bytes = read.map_err(|refused| self.fs_error("the bytes of a file", &refused))?;
        let at_end = bytes.is_empty();
        Ok((bytes.into(), at_end))
    }

    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let node = self.node(&fd)?;
        if node.is_folder {
            return Err(ErrorCode::IsDirectory.into());
        }
        match FileStream::new(&self.files(), &node, offset) {
            Ok(stream) => Ok(self.table.push(Box::new(stream) as DynInputStream)?),
            Err(refused) => Err(self.fs_error("the bytes of a file", &refused)),
        }
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let node = self.directory(&fd)?;
        let files = self.files();
        match Listing::open(&files, node).await {
            Ok(listing) => Ok(Resource::new_own(self.table.push(listing)?.rep())),
            Err(refused) => Err(self.fs_error("the entries of a folder", &refused)),
        }
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let node = self.directory(&fd)?;
        let files = self.files();
        let lane = node.file.lane.clone();
        let name = quoted(&path);
        let link = files.call(&lane, move || Ok(read_link(node.file()?, Path::new(&path))?)).await;
        let link = link.map_err(|refused| self.fs_error(&format!("the link {name}"), &refused))?;
        link.into_os_string().into_string().map_err(|_| ErrorCode::IllegalByteSequence.into())
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.node(&fd).map(|_| DescriptorFlags::READ)
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        let node = self.node(&fd)?;
        Ok(if node.is_folder { DescriptorType::Directory } else { DescriptorType::RegularFile })
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.look(self.node(&fd)?, system::stat).await
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.look_at(&fd, path_flags, path, system::stat).await
    }

    async fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> wasmtime::Result<bool> {
        let a = self.look(self.node(&a)?, identity).await;
        let b = self.look(self.node(&b)?, identity).await;
        Ok(matches!((a, b), (Ok(a), Ok(b)) if a == b))
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.look(self.node(&fd)?, hash).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.look_at(&fd, path_flags, path, hash).await
    }

    // Advice and synchronisation do nothing: there are no writes to synchronise, and advice would
    // let a guest flush and fill the machine's caches.

    async fn advise(&mut self, fd: Resource<Descriptor>, _: Filesize, _: Filesize, _: Advice) -> FsResult<()> {
        self.regular(&fd).map(drop)
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.node(&fd).map(drop)
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.node(&fd).map(drop)
    }

    // Functions that would change something.

    async fn write(&mut self, _: Resource<Descriptor>, _: Vec<u8>, _: Filesize) -> FsResult<Filesize> {
        read_only()
    }

    fn write_via_stream(&mut self, _: Resource<Descriptor>, _: Filesize) -> FsResult<Resource<DynOutputStream>> {
        read_only()
    }

    fn append_via_stream(&mut self, _: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        read_only()
    }

    async fn set_size(&mut self, _: Resource<Descriptor>, _: Filesize) -> FsResult<()> {
        read_only()
    }

    async fn set_times(&mut self, _: Resource<Descriptor>, _: NewTimestamp, _: NewTimestamp) -> FsResult<()> {
        read_only()
    }

    async fn set_times_at(
        &mut self,
        _: Resource<Descriptor>,
        _: PathFlags,
        _: String,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> FsResult<()> {
        read_only()
    }

    async fn create_directory_at(&mut self, _: Resource<Descriptor>, _: String) -> FsResult<()> {
        read_only()
    }

    async fn link_at(
        &mut self,
        _: Resource<Descriptor>,
        _: PathFlags,
        _: String,
        _: Resource<Descriptor>,
        _: String,
    ) -> FsResult<()> {
        read_only()
    }

    async fn symlink_at(&mut self, _: Resource<Descriptor>, _: String, _: String) -> FsResult<()> {
        read_only()
    }

    async fn rename_at(
        &mut self,
        _: Resource<Descriptor>,
        _: String,
        _: Resource<Descriptor>,
        _: String,
    ) -> FsResult<()> {
        read_only()
    }

    async fn unlink_file_at(&mut self, _: Resource<Descriptor>, _: String) -> FsResult<()> {
        read_only()
    }

    async fn remove_directory_at(&mut self, _: Resource<Descriptor>, _: String) -> FsResult<()> {
        read_only()
    }
}

impl HostDirectoryEntryStream for Host {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let files = self.files();
        let listing = self.table.get_mut(&Resource::<Listing>::new_borrow(stream.rep()))?;
        let next = listing.next(&files).await;
        next.map_err(|refused| self.fs_error("the entries of a folder", &refused))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

//! Loaded guests: digest, compiled code, exports.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use frond_root::Digest;
use wasmtime::component::Component;

use crate::classify::Stop;
use crate::engine::{MEMORIES, Pool, Sandbox};
use crate::escape::clip;
use crate::fast_paths::FastPaths;
use crate::inline::ShortCalls;
use crate::inspect::{MAX_SIZE, Misfit, Role, Surface, surface};
use crate::load_error::LoadError;
use crate::park::Bounds;
use crate::permits::{MergePermits, PoolPermit, WaitPermit};
use crate::ready::Ready;
use crate::slot_engines::SlotEngines;
use crate::tuning::Metering;

/// Source of a component's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled now.
    Compiled,
    /// It was compiled earlier, and loaded from the cache or received from another process.
    Cached,
}

/// Component that is ready to be instantiated: checked, compiled and linked.
pub struct Plugin {
    shared: Ready,
    component: Component,
    slot_engines: SlotEngines,
    short_calls: ShortCalls,
    fast: FastPaths,
    digest: Digest,
    origin: Origin,
    pulls: bool,
    /// Size of an instance in the pool, in memories.
    memories: u32,
    takes_pieces: bool,
    merge_permits: MergePermits,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("digest", &self.digest).field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Reads a component's file, up to the maximum size.
///
/// # Errors
/// [`LoadError::Unreadable`], or [`Misfit::TooLarge`].
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let (file, found) = frond_files::open(path).map_err(LoadError::Unreadable)?;
    if found.len() > MAX_SIZE {
        return Err(Misfit::TooLarge { size: found.len() }.into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(LoadError::Unreadable)?;
    Ok(bytes)
}

impl Plugin {
    /// Loads a component for `roles`.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(sandbox: &Sandbox, bytes: &[u8], roles: &[Role], metering: Metering) -> Result<Self, LoadError> {
        let surface = surface(bytes)?;
        roles.iter().try_for_each(|role| surface.fits(*role))?;
        let digest = Digest::of(bytes);
        let pool = sandbox.pool(metering).map_err(|error| LoadError::Engine(clip(&error.to_string())))?;
        let (component, origin) = compiled(sandbox, &pool, bytes, digest)?;
        Self::made(sandbox, pool, (&surface, digest), (component, origin), (roles, metering))
    }

    /// Loads a component as [`Plugin::load`] does, from code that [`Plugin::code`] returned in
    /// another process of this very program. The code runs as it is: take it only from a process
    /// that may run anything here. Code of another engine or another machine is compiled anew.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_shipped(
        sandbox: &Sandbox,
        bytes: &[u8],
        code: &[u8],
        roles: &[Role],
        metering: Metering,
    ) -> Result<Self, LoadError> {
        let surface = surface(bytes)?;
        roles.iter().try_for_each(|role| surface.fits(*role))?;
        let pool = sandbox.pool(metering).map_err(|error| LoadError::Engine(clip(&error.to_string())))?;
        #[expect(unsafe_code, reason = "the caller vouches for who compiled the code")]
        let component = unsafe { Component::deserialize(&pool.engine, code) };
        match component {
            Ok(component) => {
                let made = (component, Origin::Cached);
                Self::made(sandbox, pool, (&surface, Digest::of(bytes)), made, (roles, metering))
            }
            Err(_) => Self::load(sandbox, bytes, roles, metering),
        }
    }

    fn made(
        sandbox: &Sandbox,
        pool: Pool,
        (surface, digest): (&Surface, Digest),
        (component, origin): (Component, Origin),
        (roles, metering): (&[Role], Metering),
    ) -> Result<Self, LoadError> {
        let fast = sandbox.fast_paths();
        Ok(Self {
            shared: Ready::new(&component, roles, pool.leaves)?,
            slot_engines: SlotEngines::new(sandbox.engines(), metering, fast.slot_engines),
            short_calls: ShortCalls::new(fast.inline),
            fast,
            digest,
            origin,
            pulls: surface.pulls(),
            memories: memories(&component),
            takes_pieces: surface.takes_pieces(),
            merge_permits: sandbox.merge_permits().clone(),
            component,
        })
    }

    /// Returns the compiled code, for [`Plugin::load_shipped`].
    ///
    /// # Errors
    /// [`LoadError::Engine`] if the code cannot be copied.
    pub fn code(&self) -> Result<Vec<u8>, LoadError> {
        self.component.serialize().map_err(|error| LoadError::Engine(clip(&error.to_string())))
    }

    /// Checks that the plugin can be called in this role.
    ///
    /// # Errors
    /// [`LoadError::Misfit`] with the missing export.
    pub fn plays(&self, role: Role) -> Result<(), LoadError> {
        Ok(self.shared.plays(role)?)
    }

    /// Returns true if [`Plugin::load`] would not have to compile: the cache has the code, or the
    /// refusal.
    pub fn is_cached(sandbox: &Sandbox, bytes: &[u8], metering: Metering) -> bool {
        let digest = Digest::of(bytes);
        let pool = sandbox.pool(metering).ok();
        let limits = sandbox.compiler().limits();
        pool.zip(sandbox.cache()).is_some_and(|(pool, cache)| {
            cache.has(&pool.engine, digest) || cache.refusal(&pool.engine, digest, limits).is_some()
        })
    }

    /// Returns the SHA-256 of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the source of the code: the compiler or the cache.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns true if the plugin pulls its partition through `source`.
    #[must_use]
    pub fn pulls(&self) -> bool {
        self.pulls
    }

    /// Returns true if the plugin takes its partition piece by piece.
    #[must_use]
    pub fn takes_pieces(&self) -> bool {
        self.takes_pieces
    }

    /// Returns the number of slots with a copy of the plugin on a separate engine, made after many
    /// short calls there. Each copy takes about the memory of the compiled code.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.slot_engines.loaded()
    }

    /// Returns the code on the shared engine, for callers without a slot's copy.
    pub(crate) fn shared(&self) -> &Ready {
        &self.shared
    }

    /// Returns the code and the permit for a leaf: on the slot's engine if the slot has a copy and
    /// a free permit, else on the shared engine once it has one.
    ///
    /// # Errors
    /// The reason why the wait was given up.
    pub(crate) async fn leaf_place(
        &self,
        slot: Option<usize>,
        bounds: Bounds<impl Fn() -> Option<Stop>>,
    ) -> Result<(&Ready, PoolPermit), Stop> {
        let copy = slot.and_then(|slot| self.slot_engines.get(slot));
        match copy.and_then(|ready| Some((ready, ready.leaves.take(self.memories)?))) {
            Some(own) => Ok(own),
            None => Ok((&self.shared, self.shared.leaves.wait(self.memories, bounds).await?)),
        }
    }

    /// Takes the permit under which an instance waits without a slot, if there is room.
    pub(crate) fn wait_permit(&self) -> Option<WaitPermit> {
        self.shared.leaves.wait_permit(self.memories)
    }

    /// Returns true if an instance would get a permit to wait.
    pub(crate) fn has_wait_room(&self) -> bool {
        self.shared.leaves.has_wait_room(self.memories)
    }

    /// Makes a record of short calls other than leaves.
    pub(crate) fn new_short_calls(&self) -> ShortCalls {
        ShortCalls::new(self.fast.inline)
    }

    /// Returns the record of short leaf calls.
    pub(crate) fn short_calls(&self) -> &ShortCalls {
        &self.short_calls
    }

    /// Records the duration of a finished leaf call, in a slot or without one.
    pub(crate) fn learn(&self, slot: Option<usize>, took: Duration) {
        self.short_calls.learn(took);
        if let Some(slot) = slot {
            self.slot_engines.learn(slot, took, &self.shared);
        }
    }

    /// Returns the permits for merges, splits, trials and programs.
    pub(crate) fn merge_permits(&self) -> &MergePermits {
        &self.merge_permits
    }
}

/// Returns the number of memories of an instance, at least 1.
fn memories(component: &Component) -> u32 {
    component.resources_required().map_or(MEMORIES, |needs| needs.num_memories.clamp(1, MEMORIES))
}

/// Loads a component's code from the cache, or compiles it. Remembers there a refusal that the next
/// attempt would repeat.
fn compiled(sandbox: &Sandbox, pool: &Pool, bytes: &[u8], digest: Digest) -> Result<(Component, Origin), LoadError> {
    let engine = &pool.engine;
    let cached = || sandbox.cache().and_then(|cache| cache.load(engine, digest));
    if let Some(component) = cached() {
        return Ok((component, Origin::Cached));
    }
    let compiler = sandbox.compiler();
    let permit = compiler.permit(format!("{digest} {:?}", pool.tuning))?;
    if let Some(component) = cached() {
        return Ok((component, Origin::Cached));
    }
    if let Some(why) = sandbox.cache().and_then(|cache| cache.refusal(engine, digest, compiler.limits())) {
        return Err(Misfit::TooCostly(why).into());
    }
    let code = match permit.compile(pool.tuning, bytes)? {
        Ok(code) => code,
        Err(refusal) => {
            if refusal.is_lasting
                && let Some(cache) = sandbox.cache()
            {
                cache.refuse(engine, digest, compiler.limits(), &refusal.misfit);
            }
            return Err(refusal.misfit.into());
        }
    };
    #[expect(unsafe_code, reason = "the code was compiled by this very program, and came through a pipe or in memory")]
    let component = unsafe { Component::deserialize(engine, &code) };
    // The bounds of the pool apply to a component when it is loaded.
    let component = component.map_err(|error| Misfit::TooDemanding(clip(&format!("{error:#}"))))?;
    if let Some(cache) = sandbox.cache() {
        if let Err(error) = cache.store(engine, digest, &code) {
            sandbox.warn(format!("the compiled component could not be cached: {error}"));
        }
        if let Err(error) = cache.evict(engine, digest) {
            sandbox.warn(format!("old compiled components could not be removed from the cache: {error}"));
        }
    }
    Ok((component, Origin::Compiled))
}

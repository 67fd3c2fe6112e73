//! Fingerprint of an app: a digest of everything in its `frond.toml` that affects answers. Comments
//! and the location of the app's folder do not affect it, so two servers with the same app have the
//! same fingerprint.

use std::fmt::Debug;
use std::path::Path;

use frond_root::DigestWriter;
use frond_root::MergeOrder;
use frond_root::call::{Directory, Grants, HttpGrant, InstanceMode, Limits};

use crate::app::App;
use crate::limits::AppLimits;
use crate::source::{Listed, ListedContent, Source};

impl App {
    /// Digest of everything that affects answers, apart from the components themselves. Promises
    /// (deadline, floor, required partitions) and retries are left out: they decide how complete an
    /// answer is, and each query or job brings its own.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        // Names every field, so that a new field cannot be forgotten.
        let Self {
            dir,
            name: _,
            content_type,
            leaf: _,
            merge: _,
            split: _,
            instance,
            isolation: _,
            order,
            source,
            deadline: _,
            max_deadline: _,
            floor: _,
            required: _,
            grants,
            limits,
            retry: _,
            pulls: _,
        } = self;
        let mut writer = Writer(DigestWriter::default());
        writer.text("frond-app-1");
        writer.text(content_type);
        writer.text(match order {
            MergeOrder::Any => "any",
            MergeOrder::Partition => "partition",
        });
        writer.source(source, dir);
        writer.grants(grants, dir);
        writer.limits(limits);
        // Written only if it is not the default, so that stored versions keep their ids.
        if *instance != InstanceMode::Fresh {
            writer.text(instance.word());
        }
        writer.0.finish().0
    }
}

/// Writer of a fingerprint's parts, each preceded by its length.
struct Writer(DigestWriter);

impl Writer {
    fn text(&mut self, text: &str) {
        self.0.add_whole(text.as_bytes());
    }

    /// Writes the `Debug` form of a plain value: a number, or an enum without paths.
    fn value(&mut self, value: impl Debug) {
        self.text(&format!("{value:?}"));
    }

    /// Writes a path, relative to the app's folder if it lies in there.
    fn path(&mut self, path: &Path, dir: &Path) {
        self.0.add_whole(path.strip_prefix(dir).unwrap_or(path).as_os_str().as_encoded_bytes());
    }

    fn source(&mut self, source: &Source, dir: &Path) {
        self.text(source.kind());
        match source {
            Source::List(listed) => listed.iter().for_each(|one| self.listed(one, dir)),
            Source::Files { globs, piece, cut, at: _ } => {
                globs.iter().for_each(|glob| self.text(glob.as_str()));
                self.value((piece, cut));
            }
            Source::Stdin { piece, cut } => self.value((piece, cut)),
            Source::Range { start, end, step, at: _ } => self.value((start, end, step)),
            Source::Query | Source::Split => {}
        }
    }

    fn listed(&mut self, listed: &Listed, dir: &Path) {
        let Listed { key, content, weight, at: _ } = listed;
        self.text(key.as_str());
        self.value(weight);
        match content {
            ListedContent::Inline(bytes) => self.0.add_whole(bytes),
            ListedContent::File(path) => {
                self.text("file");
                self.path(path, dir);
            }
        }
    }

    fn grants(&mut self, grants: &Grants, dir: &Path) {
        let Grants { directories, env, config, http } = grants;
        for Directory { host, guest } in directories {
            self.path(host, dir);
            self.text(guest);
        }
        self.value((env, config));
        for grant in http {
            let HttpGrant { host, ports, methods, time, body, private } = grant;
            self.value((host, ports, methods, time, body, private));
        }
    }

    /// Writes the limits that affect answers. A limit that is added here is written only if it is
    /// not the default, so that stored versions keep their ids.
    fn limits(&mut self, limits: &AppLimits) {
        let AppLimits { deterministic, leaf, leaf_time, merge, split, split_time, partials: _ } = limits;
        self.value((deterministic, leaf.partition));
        for (call, time) in [(leaf, leaf_time), (merge, &None), (split, split_time)] {
            let Limits { fuel, memory, table_elements, output, log: _, partition: _, host_calls } = call;
            let fuel = Some(fuel).filter(|_| call.is_metered());
            self.value((fuel, memory, table_elements, output, host_calls, time));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{COMPONENTS, Folder};

    const SOURCE: &str = "[source]\nkind = \"list\"\npartitions = [{ key = \"a\", file = \"data/a\" }]\n";

    fn of(text: &str) -> [u8; 32] {
        let folder = Folder::new();
        folder.write("frond.toml", text);
        folder.load().unwrap().fingerprint()
    }

    #[test]
    fn a_comment_another_folder_and_promises_change_nothing() {
        let plain = format!("{COMPONENTS}{SOURCE}");
        let same = [
            plain.clone(),
            format!("# a comment\nname = \"other\"\n{plain}"),
            format!("{plain}[query]\ndeadline = \"3s\"\nfloor = 0.5\nrequire = [\"a\"]\n[retry]\nattempts = 9\n"),
            format!("{plain}[limits.leaf]\nmemory = \"64MiB\"\n"),
        ];
        assert!(same.iter().all(|text| of(text) == of(&plain)));
    }

    #[test]
    fn versions_that_are_stored_keep_their_ids() {
        let text = format!(
            "{COMPONENTS}{SOURCE}[limits]\ndeterministic = true\n[limits.leaf]\nfuel = 0\ntime = \"3s\"\npartition = 9\n\
             [limits.split]\nlog = 1\ntime = \"1ms\"\n[grants]\nenv = [\"LANG\"]\n[grants.config]\na = \"b\"\n\
             [[grants.http]]\nhost = \"*.a.example:*\"\ntime = \"2s\"\n[[grants.http]]\nhost = \"[::1]:9\"\n\
             [[grants.http]]\nhost = \"b\"\nbody = 7\nmethods = [\"POST\"]\nprivate = true\n"
        );
        let hex = of(&text).map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex, "51c3969ff2f5312e59906eeaab0aabf846859c5513cc1bd417e5b467a1724167");
    }

    #[test]
    fn all_that_changes_answers_changes_it() {
        let with = |more: &str| of(&format!("{COMPONENTS}{SOURCE}{more}"));
        let all = [
            with(""),
            of(&format!("content-type = \"text/plain\"\n{COMPONENTS}{SOURCE}")),
            of(&format!("{}{SOURCE}", COMPONENTS.replacen("[leaf]\n", "[leaf]\ninstance = \"query\"\n", 1))),
            of(&format!("{COMPONENTS}order = \"partition\"\n{SOURCE}")),
            of(&format!("{COMPONENTS}{}", SOURCE.replace("data/a", "data/b"))),
            of(&format!("{COMPONENTS}{}", SOURCE.replace("key = \"a\"", "key = \"b\""))),
            of(&format!("{COMPONENTS}{}", SOURCE.replace("file", "data"))),
            of(&format!("{COMPONENTS}[source]\nkind = \"range\"\nstart = 0\nend = 9\n")),
            of(&format!("{COMPONENTS}[source]\nkind = \"range\"\nstart = 0\nend = 8\n")),
            with("[limits]\ndeterministic = true\n"),
            with("[limits.leaf]\nfuel = 7\n"),
            with("[limits.merge]\nfuel = 7\n"),
            with("[limits.leaf]\ntime = \"1s\"\n"),
            with("[grants]\nenv = [\"LANG\"]\n"),
            with("[grants.config]\na = \"b\"\n"),
            with("[[grants.http]]\nhost = \"a.example\"\n"),
            with("[[grants.http]]\nhost = \"a.example\"\nprivate = true\n"),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "the {place}th is the same as one before");
        }
    }
}

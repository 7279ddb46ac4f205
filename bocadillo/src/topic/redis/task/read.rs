//! Reading: waits for events of the live topics, and reads pages of the topics that are behind.

use super::*;

impl Task {
    /// Reads a page of a topic that is behind, if there is one.
    pub(super) async fn read_page(
        &mut self,
        shared: &Shared,
        followed: &mut Followed,
    ) -> Result<()> {
        let Some((name, at, history)) = followed.next_behind() else {
            return Ok(());
        };
        let call = shared.page(&name, &history, Some(at), BYTES);
        let mut reader = self.reader.multiplexed.clone();
        let answer = self
            .reader
            .answer(Duration::ZERO, call.invoke_async::<Value>(&mut reader))
            .await;
        let updated = match answer {
            Ok(answer) => {
                let page = reply::page(&name, answer).ok_or_else(unexpected)?;
                followed.feed_page(&name, page)
            }
            Err(error) if is_refusal(&error) => {
                followed.set_aside(&name, &error.to_string());
                Updated::Done
            }
            Err(error) => return Err(error),
        };
        match updated {
            Updated::Done => Ok(()),
            Updated::EventsLost => self.lost(shared, followed, &name).await,
        }
    }

    /// Waits for events, and appends them. Returns how many topics the read has named.
    pub(super) async fn read(&mut self, shared: &Shared, followed: &mut Followed) -> Result<u32> {
        let (mut names, mut ids): (Vec<_>, Vec<_>) = followed
            .live()
            .map(|(name, at)| (shared.keys.topic(name), keys::text(at)))
            .unzip();
        let topics = u32::try_from(names.len()).unwrap_or(u32::MAX);
        names.extend([shared.keys.epoch.clone(), shared.keys.wake.clone()]);
        ids.extend([keys::text(self.epoch_at), keys::text(self.wake_at)]);
        let mut command = redis::cmd("XREAD");
        let blocks = !followed.has_behind();
        if blocks {
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        }
        command.arg("COUNT").arg(self.count);
        command.arg("STREAMS").arg(names).arg(ids);
        let mut reader = self.reader.multiplexed.clone();
        let asking = command.query_async(&mut reader);
        let connection = self.reader.clone();
        let answer = connection
            .answer(BLOCK, self.wait(shared, followed, asking))
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if is_refusal(&error) => {
                let found = self.find_refused(shared, followed, &error).await;
                return found.map(|()| 0);
            }
            Err(error) => return Err(error),
        };
        let streams = reply::items(answer).ok_or_else(unexpected)?;
        self.refusals = 0;
        if streams.is_empty() {
            self.count = next_count(self.count, 0, 0);
            if blocks {
                followed.verify();
                self.verified = Instant::now();
            }
            return Ok(0);
        }
        let (mut is_new_epoch, mut longest, mut bytes) = (false, 0, 0);
        let mut lost = None;
        for stream in streams {
            let [key, entries] = reply::exactly(stream).ok_or_else(unexpected)?;
            let key = reply::text(&key).ok_or_else(unexpected)?;
            if let Some(name) = shared.keys.name(key) {
                let (length, size) = reply::size(&entries);
                longest = longest.max(length);
                bytes += size;
                if followed.feed(name, entries).ok_or_else(unexpected)? == Updated::EventsLost {
                    lost = Some(name.to_owned());
                }
            } else if key == shared.keys.epoch {
                self.epoch_at = reply::last(entries).ok_or_else(unexpected)?;
                is_new_epoch = true;
            } else {
                self.wake_at = reply::last(entries).ok_or_else(unexpected)?;
            }
        }
        self.count = next_count(self.count, longest, bytes);
        if let Some(name) = lost {
            self.lost(shared, followed, &name).await?;
        } else if is_new_epoch {
            self.request_status(shared, followed, Vec::new()).await?;
        }
        Ok(topics)
    }

    /// Redis refuses to read all topics at once. Finds the topics that it refuses, and reads without them.
    pub(super) async fn find_refused(
        &mut self,
        shared: &Shared,
        followed: &mut Followed,
        refusal: &RedisError,
    ) -> Result<()> {
        let live: Vec<_> = followed.live().map(|(name, _)| Arc::clone(name)).collect();
        let mut requests = vec![live];
        let mut is_found = false;
        while let Some(mut topics) = requests.pop() {
            if topics.is_empty() {
                continue;
            }
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(1).arg("STREAMS");
            for name in &topics {
                command.arg(shared.keys.topic(name));
            }
            command.arg(vec!["$"; topics.len()]);
            let mut reader = self.reader.multiplexed.clone();
            let asking = command.query_async::<Value>(&mut reader);
            match self.reader.answer(Duration::ZERO, asking).await {
                Ok(_) => {}
                Err(error) if is_refusal(&error) && topics.len() > 1 => {
                    requests.push(topics.split_off(topics.len() / 2));
                    requests.push(topics);
                }
                Err(error) if is_refusal(&error) => {
                    followed.set_aside(&topics[0], &error.to_string());
                    is_found = true;
                }
                Err(error) => return Err(error),
            }
        }
        if is_found {
            self.refusals = 0;
        } else {
            // The first time, it may be a topic that is allowed again.
            self.refusals += 1;
            if self.refusals == 2 {
                tracing::warn!("Redis refuses to wait for events, which is tried again: {refusal}");
            }
            if self.refusals >= 2 {
                tokio::time::sleep(LONGEST_PAUSE).await;
            }
        }
        // If Redis refuses everything, this ends the task.
        self.request_status(shared, followed, Vec::new()).await
    }

    /// Waits for the answer on the reader's connection. Meanwhile it asks for the status of new topics, and wakes the reader, so that
    /// the reader waits for these topics too.
    pub(super) async fn wait(
        &mut self,
        shared: &Shared,
        followed: &mut Followed,
        reading: impl Future<Output = Result<Value>>,
    ) -> Result<Value> {
        let mut reading = pin!(reading);
        loop {
            tokio::select! {
                biased;
                answer = &mut reading => return answer,
                () = self.is_broken.notified() => {
                    return Err((ErrorKind::Io, "a command found its connection broken").into());
                }
                () = shared.has_changed.notified() => {
                    followed.update(shared);
                    self.request_statuses(shared, followed).await?;
                    self.wake(shared).await?;
                }
            }
        }
    }

    /// Wakes the reader. For this, the reader also waits for a stream that only this node writes.
    pub(super) async fn wake(&mut self, shared: &Shared) -> Result<()> {
        let mut both = redis::pipe();
        both.cmd("XADD")
            .arg(&shared.keys.wake)
            .arg(&["MAXLEN", "1", "*", "wake", ""])
            .ignore();
        both.cmd("PEXPIRE")
            .arg(&shared.keys.wake)
            .arg(60_000)
            .ignore();
        let mut commands = self.commands.multiplexed.clone();
        let woken = both.query_async(&mut commands);
        self.commands.answer(Duration::ZERO, woken).await
    }
}

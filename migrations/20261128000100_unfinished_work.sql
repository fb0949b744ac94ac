-- Work of several steps that was begun and is not done yet. A row is written with the first step, or before it, and deleted after
-- the last. A node that dies between them leaves it, and the node that looks after unfinished work goes on. No client hears of it.
CREATE TABLE unfinished_work (
    kind    text   COLLATE "C" NOT NULL,
    -- The ID of the user or the room that it is about.
    subject text   COLLATE "C" NOT NULL,
    -- Another one each time that the same is begun anew, so that the end of an earlier time does not count as the end of a later.
    number  bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- When others than the node that began it go on with it, in milliseconds since the epoch.
    due_ts  bigint NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX unfinished_work_due ON unfinished_work (due_ts);

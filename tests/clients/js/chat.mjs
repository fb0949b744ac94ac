// Two users of matrix-js-sdk chat through two nodes of one server.
//
// usage: node chat.mjs URL_OF_ALICE [URL_OF_BOB]
//
// Alice and bob register, log in, make a room, invite, join, chat both ways, read more than 500 messages back, see each
// other's receipts and typing, and log out. Ends with an error at the first thing that is not as it should be.

import { strict as assert } from "node:assert";

// The SDK tells the console everything it does. It takes the console's methods when it is loaded, so it is loaded late.
const say = (line) => process.stdout.write(`${line}\n`);
for (const method of ["trace", "debug", "log", "info", "warn", "error"]) console[method] = () => {};
const sdk = await import("matrix-js-sdk");

const MESSAGES = 520;
const TIMEOUT_MS = 60_000;

/** Waits until the condition holds; looks again at every event of the client. */
async function until(person, what, condition) {
  const end = Date.now() + TIMEOUT_MS;
  for (;;) {
    const value = condition();
    if (value) return value;
    assert(Date.now() < end, `${person.name} never saw ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Registers as clients do: the first answer tells the session, the second request completes it. */
async function register(url, name, password) {
  const client = sdk.createClient({ baseUrl: url });
  const request = { username: name, password, inhibit_login: true };
  let session;
  try {
    await client.registerRequest(request);
    assert.fail("registering without authentication must ask for it");
  } catch (error) {
    assert.equal(error.httpStatus, 401, `registering asks for authentication: ${error}`);
    session = error.data.session;
  }
  await client.registerRequest({ ...request, auth: { type: "m.login.dummy", session } });
}

/** Logs in, and starts to sync. */
async function logIn(url, name, password, initialSyncLimit = 20) {
  const answer = await sdk.createClient({ baseUrl: url }).loginRequest({
    type: "m.login.password",
    identifier: { type: "m.id.user", user: name },
    password,
    initial_device_display_name: "js test",
  });
  const client = sdk.createClient({
    baseUrl: url,
    userId: answer.user_id,
    deviceId: answer.device_id,
    accessToken: answer.access_token,
    timelineSupport: true,
  });
  const person = { name, client, typing: false };
  await client.startClient({ initialSyncLimit });
  await until(person, "the first sync", () => client.isInitialSyncComplete());
  return person;
}

function messagesOf(person, roomId) {
  const events = person.client.getRoom(roomId).getLiveTimeline().getEvents();
  return events.filter((event) => event.getType() === "m.room.message" && !event.isSending());
}

async function hear(person, roomId, eventId, what) {
  await until(person, what, () => messagesOf(person, roomId).some((event) => event.getId() === eventId));
}

/** Pages back to the start of the room; gives the ids of all messages, oldest first. */
async function readBack(person, roomId) {
  const room = person.client.getRoom(roomId);
  while (room.getLiveTimeline().getPaginationToken(sdk.EventTimeline.BACKWARDS)) {
    await person.client.scrollback(room, 50);
  }
  return messagesOf(person, roomId).map((event) => event.getId());
}

async function talk(alice, bob, roomId) {
  const sent = new Set();
  const speak = async (person, body) => {
    const { event_id: id } = await person.client.sendTextMessage(roomId, body);
    sent.add(id);
    return id;
  };
  await hear(bob, roomId, await speak(alice, "hello bob"), "alice's message");
  await hear(alice, roomId, await speak(bob, "hello alice"), "bob's message");
  // The client sends one after the other; both write at once.
  await Promise.all(
    [alice, bob].map(async (person) => {
      for (let number = 0; number < MESSAGES / 2; number++) await speak(person, `${person.name} says ${number}`);
    }),
  );
  const last = await speak(alice, "the last one");
  for (const person of [alice, bob]) await hear(person, roomId, last, "the last message");
  return { sent, last };
}

async function run(urls) {
  const suffix = Date.now().toString(36);
  const password = "a password of the test";
  const names = [`alice_js_${suffix}`, `bob_js_${suffix}`];
  const [urlOfAlice, urlOfBob] = [urls[0], urls.at(-1)];
  await register(urlOfAlice, names[0], password);
  await register(urlOfBob, names[1], password);
  const alice = await logIn(urlOfAlice, names[0], password);
  const bob = await logIn(urlOfBob, names[1], password);
  say("ok: registered and logged in");

  const bobId = bob.client.getUserId();
  const { room_id: roomId } = await alice.client.createRoom({ name: "The room of js", preset: "private_chat" });
  await alice.client.invite(roomId, bobId);
  await until(bob, "the invitation", () => bob.client.getRoom(roomId)?.getMyMembership() === "invite");
  await bob.client.joinRoom(roomId);
  await until(bob, "the room", () => bob.client.getRoom(roomId)?.getMyMembership() === "join");
  await until(alice, "bob's arrival", () => alice.client.getRoom(roomId)?.getMember(bobId)?.membership === "join");
  await until(bob, "the room's name", () => bob.client.getRoom(roomId).name === "The room of js");
  say("ok: created, invited, joined");

  const { sent, last } = await talk(alice, bob, roomId);
  say(`ok: ${sent.size} messages both ways`);

  // A new device knows only the end of the room, and reads the rest by pages.
  const again = await logIn(urlOfAlice, names[1], password, 10);
  const back = await readBack(again, roomId);
  const other = await logIn(urlOfBob, names[0], password, 10);
  assert.deepEqual(await readBack(other, roomId), back, "both nodes give the same order");
  assert.equal(new Set(back).size, back.length, "no message comes twice while reading back");
  assert.deepEqual(new Set(back), sent, `all messages come back: ${back.length} of ${sent.size}`);
  for (const person of [alice, bob]) {
    // The client shows its own messages where it sent them, so the order may differ here.
    const all = await readBack(person, roomId);
    assert.equal(all.length, new Set(all).size, `${person.name} has nothing twice`);
    assert.deepEqual(new Set(all), sent, `${person.name} has all messages`);
  }
  say(`ok: ${back.length} messages read back`);

  const lastOfBob = messagesOf(bob, roomId).find((event) => event.getId() === last);
  await bob.client.sendReadReceipt(lastOfBob);
  await until(alice, "bob's receipt", () => alice.client.getRoom(roomId).hasUserReadEvent(bobId, last));
  await until(alice, "bob's receipt as an event", () => {
    const receipts = alice.client.getRoom(roomId).getReceiptsForEvent(messagesOf(alice, roomId).at(-1));
    return receipts.some((receipt) => receipt.userId === bobId);
  });
  alice.client.on(sdk.RoomMemberEvent.Typing, (_, member) => {
    if (member.userId === bobId) alice.typing = member.typing;
  });
  await bob.client.sendTyping(roomId, true, 20_000);
  await until(alice, "bob typing", () => alice.typing);
  await bob.client.sendTyping(roomId, false, 0);
  await until(alice, "bob not typing any more", () => !alice.typing);
  say("ok: receipts and typing");

  for (const person of [alice, bob, again, other]) {
    const token = person.client.getAccessToken();
    await person.client.logout(true);
    const baseUrl = person.client.getHomeserverUrl();
    const stranger = sdk.createClient({ baseUrl, accessToken: token });
    await assert.rejects(stranger.whoami(), (error) => error.errcode === "M_UNKNOWN_TOKEN", "the token is gone");
  }
  say("ok: logged out");
}

const urls = process.argv.slice(2);
if (urls.length === 0) {
  say("usage: node chat.mjs URL_OF_ALICE [URL_OF_BOB]");
  process.exit(2);
}
run(urls).then(
  () => process.exit(0),
  (error) => {
    say(`FAILED: ${error.stack ?? error}`);
    process.exit(1);
  },
);

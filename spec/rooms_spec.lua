-- Rooms (XEP-0045), end to end: of this server and of another one.

local json = require "dkjson";
local mime = require "mime";
local neighbours = require "spec.support.neighbours";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local me, user, other, carol = "me@example.com", "user@example.com", "other@example.com", "carol@remote.example";
local linger = 2; -- seconds: post_msg_room_linger

local remote;
local raised = 0; -- errors in the log that this spec has caused

-- Each test makes new rooms.
local counter = 0;
local function new_name()
	counter = counter + 1;
	return "room" .. counter;
end

-- An occupant that the tests let into rooms: a client and its world.
local here = { world = world, address = user };
local there = { address = carol };

local function presence_from(watcher, from)
	while true do
		local raw = watcher.world.receive_presence(watcher.address);
		if raw:find(" from='" .. from .. "'", 1, true) then return raw; end
	end
end

local function forget(watcher)
	watcher.world.ping(watcher.address);
	watcher.world.collect_presences(watcher.address);
	watcher.world.collect();
end

local function enter(watcher, room, nick)
	watcher.world.send(watcher.address, ("<presence to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>"):format(room, nick));
	local raw = presence_from(watcher, room .. "/" .. nick);
	assert.is_nil(raw:find("type='error'", 1, true), raw);
	return raw;
end

-- Sends an <iq/> to the room, as its owner.
local function ask(watcher, room, payload)
	watcher.world.send(watcher.address, ("<iq type='set' id='q%s' to='%s'>%s</iq>"):format(math.random(1e9), room, payload));
	watcher.world.ping(watcher.address);
end

local function configure(watcher, room, config)
	local fields = "";
	for name, value in pairs(config or {}) do
		fields = fields .. ("<field var='muc#roomconfig_%s'><value>%s</value></field>"):format(name, value);
	end
	ask(watcher, room, "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"
		.. "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>" .. fields .. "</x></query>");
	forget(watcher);
end

-- A room with a watcher in it, who owns it.
local function new_room(watcher, service, config)
	local room = new_name() .. "@" .. service;
	enter(watcher, room, "watcher");
	configure(watcher, room, config);
	return room;
end

-- Waits until example.com has received the room's presences: an answer to a later stanza has arrived. So no other occupant takes the
-- watcher's nickname.
local function administer(watcher, room, item)
	ask(watcher, room, "<query xmlns='http://jabber.org/protocol/muc#admin'><item " .. item .. "/></query>");
	forget(watcher);
	world.send(other, ("<presence to='%s/watcher'><x xmlns='http://jabber.org/protocol/muc'/></presence>"):format(room));
	assert.matches("type='error'", presence_from({ world = world, address = other }, room .. "/watcher"), nil, true);
end

local function speak(room, body, headers, more)
	local fields = { to = room, type = "groupchat", body = body };
	for name, value in pairs(more or {}) do fields[name] = value or nil; end
	local all = { ["Content-Type"] = "application/json", ["Accept"] = "application/json" };
	for name, value in pairs(headers or {}) do all[name] = value; end
	return world.request("/msg", json.encode(fields), all);
end

local function post(...)
	return world.http(speak(...));
end

-- Asserts that the watcher receives this message once, from that occupant, and no other message.
local function assert_said(watcher, from, body)
	local raw = watcher.world.receive(watcher.address);
	assert.matches("<body>" .. body .. "</body>", raw, nil, true);
	assert.matches(" from='" .. from .. "'", raw, nil, true);
	assert.matches("type='groupchat'", raw, nil, true);
	assert.same({}, watcher.world.collect()[watcher.address]);
	return raw;
end

local function assert_refused(watcher, answer, status, condition)
	assert.equal(status, answer.status, answer.body);
	assert.equal(condition, json.decode(answer.body).condition);
	assert.same({}, watcher.world.collect()[watcher.address]);
end

-- The stanzas that the account's own clients have received.
local function assert_undisturbed()
	for _, client in ipairs { me, me .. "/desk" } do
		assert.same({}, world.collect_presences(client), client);
	end
	local messages, trouble = world.collect();
	assert.same({}, trouble);
	assert.same({}, messages[me]);
	assert.same({}, messages[me .. "/desk"]);
end

lazy_setup(function ()
	local hosts = world.defaults().hosts;
	local lines = "post_msg_room_linger = " .. linger;
	remote = neighbours.start(world, {
		hosts = {
			["example.com"] = { accounts = hosts["example.com"].accounts, lines = lines };
			["third.example"] = { accounts = { me = "pw-of-third" }, lines = lines };
			["robot.example"] = { accounts = { me = "pw-of-robot" }, lines = lines .. "; post_msg_nick = 'Robot'" };
		};
		names = { "example.com", "third.example" };
		components = "Component 'rooms.example.com' 'muc'\n"
			.. "Component 'closed.example.com' 'muc'\n\trestrict_room_creation = true\n"
			.. "Component 'locked.example.com' 'muc'\n\tenforce_registered_nickname = true\n"
			.. "Component 'echo.example.com' 'spec_echo'";
	}, {
		hosts = { ["remote.example"] = { accounts = { carol = "p4ss-of-carol" } } };
		names = { "remote.example", "rooms.remote.example" };
		components = "Component 'rooms.remote.example' 'muc'\n\tmodules_enabled = { 'dialback' }";
	});
	there.world = remote;
	world.login(me, me .. "/desk", user, other);
	remote.login(carol);
	world.ping(me);
	world.ping(me .. "/desk");
	for _, client in ipairs { me, me .. "/desk", user, other } do world.collect_presences(client); end
end);

teardown(function ()
	if remote then remote.stop(); end
	world.stop();
end);

for _, place in ipairs {
	{ name = "a room of this server", service = "rooms.example.com", watcher = here },
	{ name = "a room of another server", service = "rooms.remote.example", watcher = there },
} do
	local watcher = place.watcher;
	describe(place.name, function ()
		it("gets a message once, and the answer is 201", function ()
			local room = new_room(watcher, place.service);
			local answer = post(room, "hello, room", nil, { id = "said-1" });
			assert.equal(201, answer.status, answer.body);
			local outcome = json.decode(answer.body);
			assert.equal("sent", outcome.status);
			assert.equal(room, outcome.to);
			assert.equal("said-1", outcome.id);
			local raw = assert_said(watcher, room .. "/me", "hello, room");
			assert.matches(" id='said-1'", raw, nil, true);
			assert_undisturbed();
		end);

		it("is joined once for many messages, at once or one after another, and left after a time without messages", function ()
			local room = new_room(watcher, place.service);
			local all, count = {}, 30;
			for i = 1, count do all[i] = speak(room, "number " .. i); end
			for _, answer in ipairs(wire.answers(wire.send_all(all))) do assert.equal(201, answer.status, answer.body); end
			for i = 1, 5 do assert.equal(201, post(room, "number " .. count + i).status); end
			local heard = {};
			for _, raw in ipairs(watcher.world.collect()[watcher.address]) do
				local number = tonumber(raw:match("<body>number (%d+)</body>"));
				assert.is_nil(heard[number], raw);
				heard[number] = true;
			end
			assert.equal(count + 5, #heard);
			local raw = presence_from(watcher, room .. "/me");
			assert.is_nil(raw:find("unavailable", 1, true), raw);
			raw = presence_from(watcher, room .. "/me");
			assert.matches("type='unavailable'", raw, nil, true);
			-- And again.
			assert.equal(201, post(room, "back").status);
			assert_said(watcher, room .. "/me", "back");
			assert_undisturbed();
		end);

		it("sends the sender's clients no other messages and no presence", function ()
			local room = new_room(watcher, place.service);
			assert.equal(201, post(room, "hello").status);
			assert_said(watcher, room .. "/me", "hello");
			for i = 1, 5 do
				watcher.world.send(watcher.address, ("<message to='%s' type='groupchat'><body>chatter %d</body></message>"):format(room, i));
			end
			watcher.world.send(watcher.address, ("<message to='%s/me' type='chat'><body>psst</body></message>"):format(room));
			repeat local raw = watcher.world.receive(watcher.address); until raw:find("type='error'", 1, true);
			watcher.world.send(watcher.address, ("<iq to='%s/me' type='get' id='v1'><query xmlns='jabber:iq:version'/></iq>"):format(room));
			watcher.world.ping(watcher.address);
			watcher.world.send(watcher.address, ("<presence to='%s/renamed'/>"):format(room));
			presence_from(watcher, room .. "/renamed");
			assert.equal(201, post(room, "last").status);
			assert_undisturbed();
			forget(watcher);
		end);

		it("sends no history, which would look like new messages", function ()
			local room = new_room(watcher, place.service);
			assert.equal(201, post(room, "old words", nil, { id = "old-1" }).status);
			assert_said(watcher, room .. "/me", "old words");
			repeat local raw = presence_from(watcher, room .. "/me"); until raw:find("type='unavailable'", 1, true);
			configure(watcher, room, { moderatedroom = "1" });
			assert_refused(watcher, post(room, "old words", nil, { id = "old-1" }), 403, "forbidden");
		end);

		it("that is for members, or asks for a password, or has banned the sender: 403", function ()
			local room = new_room(watcher, place.service, { membersonly = "1" });
			assert_refused(watcher, post(room, "never"), 403, "registration-required");
			administer(watcher, room, "jid='me@example.com' affiliation='member'");
			assert.equal(201, post(room, "a member").status);
			assert_said(watcher, room .. "/me", "a member");

			room = new_room(watcher, place.service, { passwordprotectedroom = "1", roomsecret = "sesame" });
			assert_refused(watcher, post(room, "never"), 403, "not-authorized");

			room = new_room(watcher, place.service);
			administer(watcher, room, "jid='me@example.com' affiliation='outcast'");
			assert_refused(watcher, post(room, "never"), 403, "forbidden");
			assert_undisturbed();
		end);

		it("that is moderated: 403 without voice, 201 with it", function ()
			local room = new_room(watcher, place.service, { moderatedroom = "1" });
			assert_refused(watcher, post(room, "never"), 403, "forbidden");
			administer(watcher, room, "nick='me' role='participant'");
			assert.equal(201, post(room, "with voice").status);
			assert_said(watcher, room .. "/me", "with voice");
		end);

		it("with the nickname in use answers 409, and gets a webhook's message under another nickname, which is logged", function ()
			local room = new_room(watcher, place.service);
			for number, nick in ipairs { "me", "me-2", "me-3", "me-4" } do
				local somebody = { world = world, address = other .. "/" .. number };
				world.login(somebody.address);
				enter(somebody, room, nick);
			end
			forget(watcher);
			local mark = world.log_mark();
			assert_refused(watcher, post(room, "never"), 409, "conflict");
			-- Without `type`, only a room of this server is recognised as a room.
			if place.watcher.world ~= world then return; end
			local answer = world.http(world.request("/msg/" .. room .. "?as=slack", '{"text":"heard all the same"}',
				{ ["Content-Type"] = "application/json" }));
			assert.equal(200, answer.status, answer.body);
			local raw = watcher.world.receive(watcher.address);
			assert.matches("<body>heard all the same</body>", raw, nil, true);
			local nick = raw:match(" from='" .. room:gsub("%p", "%%%0") .. "/(me%-[^']+)'");
			assert.is_truthy(nick, raw);
			assert.matches(("me@example.com has the nickname %s in the room %s, where me is taken or reserved"):format(nick, room),
				world.log(mark), nil, true);
			for number = 1, 4 do world.logout(other .. "/" .. number); end
			presence_from(watcher, room .. "/" .. nick);
			repeat local left = presence_from(watcher, room .. "/" .. nick); until left:find("type='unavailable'", 1, true);
			forget(watcher);
			assert.equal(201, post(room, "free again").status);
			assert_said(watcher, room .. "/me", "free again");
		end);

		it("gets the messages of accounts of the same name on two hosts, also after a reload of one host", function ()
			local room = new_room(watcher, place.service);
			local of_third = { ["Host"] = "third.example", ["Authorization"] = "Basic " .. mime.b64("me:pw-of-third") };
			local mark = world.log_mark();
			assert.equal(201, post(room, "from one").status);
			assert_said(watcher, room .. "/me", "from one");
			assert.equal(201, post(room, "from another", of_third).status);
			assert_said(watcher, room .. "/me-2", "from another");
			assert.is_nil(world.log(mark):find("condition conflict", 1, true));
			assert(world.module("reload"));
			forget(watcher);
			assert.equal(201, post(room, "from one again").status);
			assert_said(watcher, room .. "/me", "from one again");
			assert.equal(201, post(room, "from another again", of_third).status);
			assert_said(watcher, room .. "/me-2", "from another again");
			assert_undisturbed();
		end);

		it("returns an error to a member who writes to the sender's nickname, and the sender stays", function ()
			local room = new_room(watcher, place.service);
			assert.equal(201, post(room, "hello").status);
			assert_said(watcher, room .. "/me", "hello");
			forget(watcher);
			watcher.world.send(watcher.address, ("<message to='%s/me' type='chat' id='private-1'><body>psst</body></message>"):format(room));
			local raw = watcher.world.receive(watcher.address);
			assert.matches("type='error'", raw, nil, true);
			assert.matches("private-1", raw, nil, true);
			assert.matches("<not-allowed ", raw, nil, true);
			assert.equal(201, post(room, "still here").status);
			assert_said(watcher, room .. "/me", "still here");
			assert_undisturbed();
		end);

		it("delivers to the account what a member writes to the sender's address", function ()
			local room = new_room(watcher, place.service);
			assert.equal(201, post(room, "hello").status);
			assert_said(watcher, room .. "/me", "hello");
			local address = presence_from(watcher, room .. "/me"):match(" jid='([^']*)'");
			forget(watcher);
			world.send(me, "<presence/>"); -- to get the offline messages
			watcher.world.send(watcher.address, ("<message to='%s' type='chat'><body>to your address</body></message>"):format(address));
			assert.matches("<body>to your address</body>", world.receive(me), nil, true);
			world.ping(me);
			world.collect();
			for _, client in ipairs { me, me .. "/desk" } do world.collect_presences(client); end
		end);

		it("that does not exist: 404, and no room is created", function ()
			for _ = 1, 2 do
				local room = new_name() .. "@" .. place.service;
				for _ = 1, 2 do
					assert_refused(watcher, post(room, "anybody?"), 404, "item-not-found");
				end
				local all = {};
				for i = 1, 5 do all[i] = speak(room, "anybody?"); end
				for _, answer in ipairs(wire.answers(wire.send_all(all))) do assert.equal(404, answer.status, answer.body); end
				watcher.world.ping(watcher.address);
				local exists = watcher.world.lua(("return prosody.hosts[%q].modules.muc.get_room_from_jid(%q) ~= nil"):format(place.service, room));
				if watcher == there then -- it may still be leaving
					wire.await("the room to vanish", function ()
						exists = watcher.world.lua(("return prosody.hosts[%q].modules.muc.get_room_from_jid(%q) ~= nil"):format(place.service, room));
						return not exists;
					end);
				end
				assert.is_false(exists);
				assert.matches("code='201'", enter(watcher, room, "watcher"), nil, true); -- now the room is created
				forget(watcher);
			end
			assert_undisturbed();
		end);

		it("that kicks the sender is joined again for the next message, unless the sender is banned", function ()
			local room = new_room(watcher, place.service);
			assert.equal(201, post(room, "first").status);
			forget(watcher);
			administer(watcher, room, "nick='me' role='none'");
			assert.equal(201, post(room, "second").status);
			assert_said(watcher, room .. "/me", "second");
			administer(watcher, room, "jid='me@example.com' affiliation='outcast'");
			assert_refused(watcher, post(room, "never"), 403, "forbidden");
			assert_undisturbed();
		end);

		it("that is destroyed while the sender is in it is then missing", function ()
			local room = new_room(watcher, place.service);
			assert.equal(201, post(room, "first").status);
			forget(watcher);
			ask(watcher, room, "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>");
			forget(watcher);
			local answer = post(room, "never");
			assert.is_true(answer.status == 404 or answer.status == 410, answer.body);
			assert_undisturbed();
		end);

		it("reflects a new subject before the answer 201, and rejects one from a sender without the right: 403", function ()
			local room = new_room(watcher, place.service, { changesubject = "1" });
			local answer = post(room, nil, nil, { subject = "new subject" });
			assert.equal(201, answer.status, answer.body);
			local raw = watcher.world.receive(watcher.address);
			assert.matches("<subject>new subject</subject>", raw, nil, true);
			assert.matches(" from='" .. room .. "/me'", raw, nil, true);
			room = new_room(watcher, place.service, { changesubject = "0" });
			assert_refused(watcher, post(room, nil, nil, { subject = "never" }), 403, "forbidden");
		end);

		it("is one of several recipients", function ()
			local room, missing = new_room(watcher, place.service), new_name() .. "@" .. place.service;
			local answer = post({ room, missing }, "to all");
			assert.equal(207, answer.status, answer.body);
			local outcomes = json.decode(answer.body);
			assert.equal("sent", outcomes[1].status);
			assert.equal("item-not-found", outcomes[2].error.condition);
			assert_said(watcher, room .. "/me", "to all");
		end);
	end);
end

describe("rooms of this server", function ()
	local service = "rooms.example.com";

	it("need no type, under any form of the address", function ()
		local room = new_room(here, service);
		for _, path in ipairs { room, room:upper(), "xmpp:" .. room } do
			local answer = world.http(world.request("/msg/" .. path, "no type"));
			assert.equal(201, answer.status, answer.body);
			assert_said(here, room .. "/me", "no type");
		end
		assert.equal(201, post(room, "no type", nil, { type = false }).status);
		assert_said(here, room .. "/me", "no type");
	end);

	it("are ordinary recipients with another type", function ()
		local room = new_room(here, service);
		for _, kind in ipairs { "chat", "normal", "headline" } do
			local answer = post(room, "never", nil, { type = kind });
			assert.is_true(answer.status == 201 or answer.status >= 400, answer.body);
			assert.same({}, world.collect()[user]);
		end
		assert.same({}, world.collect_presences(user));
	end);

	it("that have lost the sender are joined again once", function ()
		local answer = post("bounce.not-acceptable@echo.example.com", "never");
		assert.equal(422, answer.status, answer.body);
		assert.equal("not-acceptable", json.decode(answer.body).condition);
	end);

	it("get messages under the nickname that the sender has registered there", function ()
		local room = new_room(here, "locked.example.com");
		administer(here, room, "jid='me@example.com' affiliation='member'");
		world.send(me, ("<iq type='set' id='r1' to='%s'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>"):format(room)
			.. "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>"
			.. "<field var='muc#register_roomnick'><value>Registered</value></field></x></query></iq>");
		world.ping(me);
		forget(here);
		assert.equal(201, post(room, "as registered").status);
		assert_said(here, room .. "/Registered", "as registered");
		assert_undisturbed();
	end);

	it("ignore an error or a copy with the message's id from another occupant: only the room's own stanza counts", function ()
		local answer = post("occupant.forbidden@echo.example.com", "never");
		assert.equal(403, answer.status, answer.body);
		assert.equal("forbidden", json.decode(answer.body).condition);
	end);

	it("are at most 200 at once for an account: idle ones are left for new ones, and if none is idle, 503", function ()
		local reflecting, silent = {}, {};
		for i = 1, 250 do reflecting[i] = json.encode { to = "reflect." .. i .. "@echo.example.com", type = "groupchat", body = "hi" }; end
		for i = 1, 250 do silent[i] = json.encode { to = "silent" .. i .. "@echo.example.com", type = "groupchat", body = "hi" }; end
		local headers = { ["Content-Type"] = "application/x-ndjson", ["Accept"] = "application/json" };
		local answer = world.http(world.request("/msg", table.concat(reflecting, "\n"), headers));
		assert.equal(201, answer.status, answer.body);
		headers["Authorization"] = world.basic(other);
		answer = assert(wire.send(world.request("/msg", table.concat(silent, "\n"), headers)):answer());
		assert.equal(207, answer.status, answer.body);
		local count = {};
		for _, outcome in ipairs(json.decode(answer.body)) do
			local status = outcome.error.status;
			count[status] = (count[status] or 0) + 1;
		end
		assert.same({ [503] = 50, [504] = 200 }, count);
	end);

	it("with a module that raises an error in one of their events: 502, one line in the log, and the next message arrives", function ()
		local room = new_room(here, service);
		for _, event in ipairs { "muc-occupant-pre-join", "muc-room-pre-create", "muc-occupant-groupchat", "muc-broadcast-message" } do
			local to = event == "muc-room-pre-create" and new_name() .. "@" .. service or room;
			local mark = world.log_mark();
			world.lua(([[prosody.spec_raises = function () error("as asked for\nsecond line"); end;
				prosody.hosts[%q].events.add_handler(%q, prosody.spec_raises, 1e6)]]):format(service, event));
			local answer = post(to, "never");
			local following = event == "muc-broadcast-message" and post(to, "never") or answer;
			world.lua(("prosody.hosts[%q].events.remove_handler(%q, prosody.spec_raises)"):format(service, event));
			for _, refused in ipairs { answer, following } do
				assert.equal(502, refused.status, event .. ": " .. refused.body);
				assert.equal("internal-server-error", json.decode(refused.body).condition);
			end
			for _, line in ipairs(world.errors(mark)) do
				assert.matches("failed in another module: .*as asked for$", line);
				raised = raised + 1;
			end
			assert.is_true(#world.errors(mark) >= 1);
			assert.equal(201, post(room, "after " .. event).status);
			assert_said(here, room .. "/me", "after " .. event);
		end
		assert_undisturbed();
	end);

	it("cost the same work for each stanza, however many messages they have not reflected", function ()
		local count, lines = 5000, {};
		for i = 1, count do lines[i] = json.encode { to = "awaited@echo.example.com", type = "groupchat", body = "number " .. i }; end
		world.lua([[prosody.spec_counted, prosody.spec_occupant = 0, nil;
			prosody.hosts["echo.example.com"].events.add_handler("message/bare", function (event)
				prosody.spec_counted, prosody.spec_occupant = prosody.spec_counted + 1, event.stanza.attr.from;
			end, 1e6)]]);
		local open_request = wire.send(world.request("/msg", table.concat(lines, "\n"), { ["Content-Type"] = "application/x-ndjson" }));
		wire.await("all messages to be said", function () return world.lua("return prosody.spec_counted") == count; end);
		local steps = world.steps("example.com", "message/full",
			"st.message({ type = 'groupchat', from = 'awaited@echo.example.com/me', to = prosody.spec_occupant }, 'something else')");
		assert.is_true(steps < 1000, steps .. " instructions");
		assert(world.module("reload"));
		assert.equal(503, assert(open_request:answer()).status);
	end);

	it("must be named without a resource, and with a localpart, for type=groupchat: 422", function ()
		local room = new_room(here, service);
		for _, to in ipairs { room .. "/watcher", service, "example.com/announce/online" } do
			assert.equal(422, post(to, "never").status, to);
		end
		assert_undisturbed();
	end);

	it("that nobody may create: 404 or 403, and no room is created", function ()
		local answer = post(new_name() .. "@closed.example.com", "never");
		assert.is_true(answer.status == 404 or answer.status == 403, answer.body);
	end);

	it("show the sender with the nickname of post_msg_nick", function ()
		local room = new_room(here, service);
		local answer = post(room, "beep", { ["Host"] = "robot.example", ["Authorization"] = "Basic " .. mime.b64("me:pw-of-robot") });
		assert.equal(201, answer.status, answer.body);
		assert_said(here, room .. "/Robot", "beep");
	end);

	it("are shared by senders, each with a join of its own", function ()
		local room = new_room(here, service);
		assert.equal(201, post(room, "one").status);
		assert_said(here, room .. "/me", "one");
		assert.equal(201, post(room, "two", { ["Authorization"] = world.basic(other) }).status);
		assert_said(here, room .. "/other", "two");
		assert.equal(201, post(room, "three", { ["Authorization"] = "Basic " .. mime.b64("me@example.com/cron:mypassword") }).status);
		assert_said(here, room .. "/me", "three");
	end);

	it("accept the message if the sender's own client is already in them", function ()
		local room = new_room(here, service);
		enter({ world = world, address = me .. "/desk" }, room, "me");
		forget({ world = world, address = me .. "/desk" });
		assert.equal(201, post(room, "beside my client").status);
		assert.matches("beside my client", world.receive(me .. "/desk"), nil, true);
		world.send(me .. "/desk", ("<presence type='unavailable' to='%s/me'/>"):format(room));
		world.ping(me .. "/desk");
		world.collect_presences(me .. "/desk");
		world.collect_presences(me);
		world.collect();
	end);

	it("are left when the module is unloaded, and waiting requests get 503", function ()
		local room = new_room(here, service);
		assert.equal(201, post(room, "before").status);
		assert_said(here, room .. "/me", "before");
		assert.is_nil(presence_from(here, room .. "/me"):find("unavailable", 1, true));
		local open_request = wire.send(speak("room@silent.example", "anybody?"));
		world.ping(user);
		assert.is_false(open_request:arrived(0.1));
		assert(world.module("reload"));
		assert.matches("type='unavailable'", presence_from(here, room .. "/me"), nil, true);
		assert.equal(503, assert(open_request:answer()).status);
		assert.equal(201, post(room, "after").status);
		assert_said(here, room .. "/me", "after");
		assert_undisturbed();
	end);

	it("that do not answer within 20 seconds: 504", function ()
		local answer = assert(wire.send(speak("room@silent.example", "anybody?")):answer());
		assert.equal(504, answer.status, answer.body);
		assert_undisturbed();
	end);

	it("get a message with an Idempotency-Key once", function ()
		local room = new_room(here, service);
		for _ = 1, 3 do assert.equal(201, post(room, "once", { ["Idempotency-Key"] = "room-1" }).status); end
		assert_said(here, room .. "/me", "once");
	end);

	it("get a batch in order", function ()
		local room = new_room(here, service);
		local lines = {};
		for i = 1, 200 do lines[i] = json.encode { to = room, type = "groupchat", body = "number " .. i }; end
		local answer = world.http(world.request("/msg", table.concat(lines, "\n"), { ["Content-Type"] = "application/x-ndjson" }));
		assert.equal(201, answer.status, answer.body);
		local heard = world.collect()[user];
		assert.equal(200, #heard);
		for i, raw in ipairs(heard) do assert.matches("<body>number " .. i .. "</body>", raw, nil, true); end
	end);
end);

it("neither server has an error in its log", function ()
	assert.equal(raised, #world.errors());
	assert.same({}, remote.errors());
end);

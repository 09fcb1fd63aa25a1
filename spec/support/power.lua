-- A simulated power loss: record.c records the writes of Prosody, and from the record this file builds each content that a disk may have
-- afterwards. Unsynced names and contents may be on the disk or not, independently of each other.

local read = require "pl.file".read;

local power = {};

local here = debug.getinfo(1, "S").source:match("^@(.*)/") or ".";
local root = os.getenv("PROSODY_ROOT") or "";

local function run(command)
	local ok = os.execute(command);
	assert(ok == true or ok == 0, command); -- COMPAT Lua 5.1
end

local function quoted(path) return "'" .. path .. "'"; end

-- Compiles the recorder into a folder. > the environment for the recorded process
function power.environment(folder)
	run(("cc -O1 -shared -fPIC -o '%s%s/record.so' '%s/record.c' -ldl"):format(root, folder, here));
	return { LD_PRELOAD = folder .. "/record.so"; RECORD_INTO = folder .. "/record" };
end

local function unhex(text)
	return (text:gsub("%x%x", function (digits) return string.char(tonumber(digits, 16)); end));
end

-- Reads the record. > { { what, path, rest, … }, … }
function power.events(folder)
	local results = {};
	for line in read(root .. folder .. "/record"):gmatch("([^\n]*)\n") do
		local event = {};
		for part in (line .. "\t"):gmatch("([^\t]*)\t") do event[#event + 1] = part; end
		results[#results + 1] = event;
	end
	return results;
end

-- The changes of a file's content, as functions of the old content.
local changes = {
	create = function () return function () return ""; end, ""; end;
	content = function (event)
		local text = unhex(event[3]);
		return function (_, bytes) return bytes; end, text;
	end;
	write = function (event)
		local at = tonumber(event[3]);
		return function (before, bytes)
			return before:sub(1, at) .. ("\0"):rep(at - #before) .. bytes .. before:sub(at + #bytes + 1);
		end, unhex(event[4]);
	end;
	truncate = function (event)
		local length = tonumber(event[3]);
		return function (before) return before:sub(1, length) .. ("\0"):rep(length - #before); end, "";
	end;
};

-- The possible results of an unsynced write.
local fates = {
	whole = function (bytes) return bytes; end;
	zeros = function (bytes) return ("\0"):rep(#bytes); end;
	half = function (bytes) return bytes:sub(1, math.floor(#bytes / 2)); end;
};

-- The content of a disk after the events first … last. `names(path)`: whether an unsynced entry of a folder exists. `fate(path)`: the
-- result of unsynced bytes: "whole", "zeros", "half" or "none". `before`: the folder with the content before the first event.
-- > { [path] = content or false }, of the paths that were touched
function power.state(before, data, events, first, last, names, fate)
	local now, durable, touched = {}, {}, {}; -- path → file
	local function file_at(path)
		if not touched[path] then
			touched[path] = true;
			local file = io.open(before .. path:sub(#data + 1), "rb");
			local text = file and file:read("*a"); -- nil of a folder
			if file then file:close(); end
			if text then
				now[path] = { durable = text; pending = {} };
				durable[path] = now[path];
			end
		end
		return now[path];
	end
	for index = first, last do
		local event = events[index];
		local what, path = event[1], event[2];
		local file = file_at(path);
		if changes[what] then
			if not file then
				file = { durable = ""; pending = {} };
				now[path] = file;
			end
			local change, bytes = changes[what](event);
			table.insert(file.pending, { change, bytes });
		elseif what == "rename" then
			file_at(event[3]);
			now[event[3]], now[path] = file, nil;
		elseif what == "unlink" then
			now[path] = nil;
		elseif what == "sync" and file then
			for _, one in ipairs(file.pending) do file.durable = one[1](file.durable, one[2]); end
			file.pending = {};
		elseif what == "sync" then
			for one in pairs(touched) do
				if one:match("^(.*)/") == path then durable[one] = now[one]; end
			end
		end
	end
	local results = {};
	for path in pairs(touched) do
		local file = durable[path];
		if now[path] ~= file and names(path) then file = now[path]; end
		results[path] = false;
		if file then
			local text = file.durable;
			for _, one in ipairs(file.pending) do
				local kind = fate(path);
				if kind ~= "none" then text = one[1](text, fates[kind](one[2])); end
			end
			results[path] = text;
		end
	end
	return results;
end

-- Puts a state in the place of the data folder.
function power.build(before, data, state)
	run(("rm -rf %s && cp -a %s %s"):format(quoted(root .. data), quoted(before), quoted(root .. data)));
	for path, text in pairs(state) do
		path = root .. path;
		if text then
			run(("mkdir -p %s"):format(quoted(path:match("^(.*)/"))));
			local file = assert(io.open(path, "wb"));
			file:write(text);
			file:close();
		else
			os.remove(path);
		end
	end
end

return power;

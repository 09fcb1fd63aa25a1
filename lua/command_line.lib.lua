-- A command line: usage, words and options, as the commands of prosodyctl declare them.
--
-- A command is { name, arguments, missing, options, says, run }. `arguments` are the names of its words; a name in brackets may be left
-- out. `missing` is the sentence for a word that is missing. An option is { name, value, says, repeated }.

local command_line = {};

function command_line.fail(sentence, ...) --> exit status
	io.stderr:write(sentence:format(...), "\n");
	return 1;
end

-- "token add" → "token add ADDRESS [OPTION]..."
local function synopsis(command) --> string
	local words = { command.name };
	for _, argument in ipairs(command.arguments or {}) do words[#words + 1] = argument; end
	if command.options then words[#words + 1] = "[OPTION]..."; end
	words[#words + 1] = command.input;
	return table.concat(words, " ");
end

local function describe(command) --> lines
	local lines = { "`"..command.name.."` "..command.says };
	local left, width = {}, 0;
	for index, option in ipairs(command.options or {}) do
		left[index] = "--"..option.name.." "..option.value;
		width = math.max(width, #left[index]);
	end
	for index, option in ipairs(command.options or {}) do
		lines[#lines + 1] = "    "..left[index]..(" "):rep(width - #left[index] + 3)..option.says..(option.repeated and "; can be repeated" or "");
	end
	return table.concat(lines, "\n");
end

-- `groups` is a list of { about, commands }.
function command_line.usage(program, groups) --> text
	local synopses, parts = {}, {};
	for _, group in ipairs(groups) do
		local described = {};
		for index, command in ipairs(group.commands) do
			synopses[#synopses + 1] = (synopses[1] and "       " or "Usage: ")..program.." "..synopsis(command);
			described[index] = describe(command);
		end
		parts[#parts + 1] = group.about;
		parts[#parts + 1] = table.concat(described, "\n");
	end
	return table.concat(synopses, "\n").."\n\n"..table.concat(parts, "\n\n").."\n";
end

-- "--to=x" → "to", "x"; "--to" → "to"
local function split_option(word) --> name, or nil; value, or nil
	local name, value = word:match("^%-%-([%w-]+)=(.*)$");
	return name or word:match("^%-%-([%w-]+)$"), value;
end

local function find_option(command, name) --> option, or nil
	for _, option in ipairs(command.options or {}) do
		if option.name == name then return option; end
	end
end

local function add_value(given, option, value) --> true; or nil and a sentence
	local key = option.name:gsub("-", "_");
	if not value or value == "" then
		return nil, "A value must follow --"..option.name;
	elseif option.repeated then
		table.insert(given[key], value);
	elseif given[key] then
		return nil, "--"..option.name.." is given twice";
	else
		given[key] = value;
	end
	return true;
end

local function check_count(command, plain) --> true; or nil and a sentence
	local arguments = command.arguments or {};
	for index, argument in ipairs(arguments) do
		if not plain[index] and not argument:find("^%[") then return nil, command.missing; end
	end
	local extra = plain[#arguments + 1];
	if extra then return nil, "There is a word too many: "..extra; end
	return true;
end

local function new_values(command) --> { option → value }, with an empty list for each option that can be repeated
	local given = {};
	for _, option in ipairs(command.options or {}) do
		if option.repeated then given[option.name] = {}; end
	end
	return given;
end

-- The words of a command line from the index `first` on. Values are under the option's name, with "_" for "-"; a repeated option has a
-- list.
function command_line.parse(command, words, first) --> words that are no options, { option → value }; or nil and a sentence
	local plain, given, index = {}, new_values(command), first;
	while words[index] do
		local word = words[index];
		local name, value = split_option(word);
		local option = name and find_option(command, name);
		if option then
			if not value then
				index = index + 1;
				value = words[index];
			end
			local ok, sentence = add_value(given, option, value);
			if not ok then return nil, sentence; end
		elseif word:sub(1, 1) == "-" then
			return nil, "There is no option "..word;
		else
			plain[#plain + 1] = word;
		end
		index = index + 1;
	end
	local ok, sentence = check_count(command, plain);
	if not ok then return nil, sentence; end
	return plain, given;
end

return command_line;

-- A command line: usage, words and options, as the commands of prosodyctl declare them.
--
-- A command is { name, arguments, hint, options, description, run }. `arguments` are the names of its words; a word whose name is in
-- brackets is optional. `hint` is the sentence for a missing word. An option is { name, value, description, can_repeat }; without
-- `value`, its value is "true".

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
	local lines = { "`"..command.name.."` "..command.description };
	local heads, width = {}, 0;
	for index, option in ipairs(command.options or {}) do
		heads[index] = "--"..option.name..(option.value and " "..option.value or "");
		width = math.max(width, #heads[index]);
	end
	for index, option in ipairs(command.options or {}) do
		lines[#lines + 1] = "    "..heads[index]..(" "):rep(width - #heads[index] + 3)..option.description
			..(option.can_repeat and "; can be repeated" or "");
	end
	return table.concat(lines, "\n");
end

-- `groups` is a list of { introduction, commands }.
function command_line.usage(program, groups) --> text
	local synopses, parts = {}, {};
	for _, group in ipairs(groups) do
		local descriptions = {};
		for index, command in ipairs(group.commands) do
			synopses[#synopses + 1] = (synopses[1] and "       " or "Usage: ")..program.." "..synopsis(command);
			descriptions[index] = describe(command);
		end
		parts[#parts + 1] = group.introduction;
		parts[#parts + 1] = table.concat(descriptions, "\n");
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

local function add_value(values, option, value) --> true; or nil and a sentence
	local key = option.name:gsub("-", "_");
	if not value or value == "" then
		return nil, "A value must follow --"..option.name;
	elseif option.can_repeat then
		table.insert(values[key], value);
	elseif values[key] then
		return nil, "--"..option.name.." is given twice";
	else
		values[key] = value;
	end
	return true;
end

local function check_count(command, words) --> true; or nil and a sentence
	local arguments = command.arguments or {};
	for index, argument in ipairs(arguments) do
		if not words[index] and not argument:find("^%[") then return nil, command.hint; end
	end
	local extra = words[#arguments + 1];
	if extra then return nil, "There is an unexpected word: "..extra; end
	return true;
end

local function new_values(command) --> { option → value }, with an empty list for each option that can be repeated
	local values = {};
	for _, option in ipairs(command.options or {}) do
		if option.can_repeat then values[option.name] = {}; end
	end
	return values;
end

-- The words of a command line from the index `first` on. Values are under the option's name, with "_" for "-"; a repeated option has a
-- list.
function command_line.parse(command, words, first) --> words that are not options, { option → value }; or nil and a sentence
	local arguments, values, index = {}, new_values(command), first;
	while words[index] do
		local word = words[index];
		local name, value = split_option(word);
		local option = name and find_option(command, name);
		if option then
			if not option.value then
				if value then return nil, "No value may follow --"..option.name; end
				value = "true";
			elseif not value then
				index = index + 1;
				value = words[index];
			end
			local ok, sentence = add_value(values, option, value);
			if not ok then return nil, sentence; end
		elseif word:sub(1, 1) == "-" then
			return nil, "There is no option "..word;
		else
			arguments[#arguments + 1] = word;
		end
		index = index + 1;
	end
	local ok, sentence = check_count(command, arguments);
	if not ok then return nil, sentence; end
	return arguments, values;
end

return command_line;

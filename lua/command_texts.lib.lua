-- The texts of the commands in chat clients, in each language: a name for each command, its instructions, the labels of fields, the
-- sentence at the end of a command, and the problems, by the wrong field or by the kind of the problem.

local texts = {};

texts.en = {
	names = { add = "Make a sending token"; list = "List sending tokens"; revoke = "Revoke a sending token" };
	instructions = {
		add = "A sending token lets a program send messages in your name, and do nothing else. Empty fields set no limit.";
		list = "Times are UTC.";
		revoke = "Programs that use the token can no longer send.";
		token = "This is shown once. Whoever has the token can send in your name.";
	};
	labels = {
		label = "Label, such as the name of the program"; to = "May send only to these addresses or domains";
		as = "May send only this format (alertmanager, github, …)"; days = "Days until it expires";
		get = "May send by GET, for devices that can only call a URL"; replies = "May ask for replies"; nick = "Its messages show this name";
		template = "Template"; rate = "Messages a minute, at most"; token = "Token"; id = "Id"; expires = "Expires"; made = "Made"; used = "Last used";
	};
	no_tokens = "You have no sending tokens."; revoked = "The token is revoked.";
	problems = {
		label = "The label is one line of at most 200 bytes, without control characters.";
		to = "A recipient is an address without resource, or a domain; at most 100 recipients, 16384 bytes in all.";
		as = "There is no such format. The page of this module and `prosodyctl mod_post_msg template list` name the formats.";
		nick = "The nickname is one line of text that a room accepts, of at most 1023 bytes.";
		days = "The number of days is a whole number from 1 to 36500.";
		rate = "The number of messages a minute is a whole number from 1 to 10000.";
		form = "The form is incomplete.";
		id = "You have no token with this id."; token_limit = "You have as many tokens as an account may have; revoke one first.";
		unavailable = "Tokens cannot be stored or read now; try again later.";
		account = "Only accounts that may send messages over HTTP have sending tokens.";
	};
};

texts.de = {
	names = { add = "Sende-Token erstellen"; list = "Sende-Token anzeigen"; revoke = "Sende-Token widerrufen" };
	instructions = {
		add = "Mit einem Sende-Token kann ein Programm in Ihrem Namen Nachrichten senden und sonst nichts. Leere Felder beschränken nichts.";
		list = "Die Zeiten sind in UTC.";
		revoke = "Programme, die das Token benutzen, können nichts mehr senden.";
		token = "Das Token wird nur jetzt angezeigt. Wer es hat, kann in Ihrem Namen senden.";
	};
	labels = {
		label = "Bezeichnung, etwa der Name des Programms"; to = "Darf nur an diese Adressen oder Domains senden";
		as = "Darf nur dieses Format senden (alertmanager, github, …)"; days = "Tage, bis es abläuft";
		get = "Darf per GET senden, für Geräte, die nur eine URL aufrufen können"; replies = "Darf um Antworten bitten";
		nick = "Ihre Nachrichten zeigen diesen Namen"; template = "Vorlage";
		rate = "Höchstzahl der Nachrichten pro Minute"; token = "Token"; id = "Kennung"; expires = "Läuft ab"; made = "Erstellt";
		used = "Zuletzt benutzt";
	};
	no_tokens = "Sie haben keine Sende-Token."; revoked = "Das Token ist widerrufen.";
	problems = {
		label = "Die Bezeichnung ist eine Zeile von höchstens 200 Bytes, ohne Steuerzeichen.";
		to = "Ein Empfänger ist eine Adresse ohne Ressource oder eine Domain; höchstens 100 Empfänger, zusammen 16384 Bytes.";
		as = "Dieses Format gibt es nicht. Die Seite dieses Moduls und `prosodyctl mod_post_msg template list` nennen die Formate.";
		nick = "Der Name ist eine Zeile Text, die ein Raum annimmt, von höchstens 1023 Bytes.";
		days = "Die Zahl der Tage ist eine ganze Zahl von 1 bis 36500.";
		rate = "Die Zahl der Nachrichten pro Minute ist eine ganze Zahl von 1 bis 10000.";
		form = "Das Formular ist unvollständig.";
		id = "Sie haben kein Token mit dieser Kennung.";
		token_limit = "Sie haben so viele Token, wie ein Konto haben darf; widerrufen Sie zuerst eines.";
		unavailable = "Token können jetzt nicht gespeichert oder gelesen werden; versuchen Sie es später noch einmal.";
		account = "Nur Konten, die über HTTP Nachrichten senden dürfen, haben Sende-Token.";
	};
};

-- The texts in the language of a stanza (RFC 6120, section 8.1.5), or else in English.
local function for_stanza(stanza) --> texts
	local language = stanza and stanza.attr["xml:lang"] or "";
	return texts[language:lower():match("^%a+")] or texts.en;
end

return { en = texts.en; for_stanza = for_stanza };

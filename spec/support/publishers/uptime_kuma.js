// Uptime Kuma's own providers send notifications: uptime_kuma.js FOLDER SETTINGS. FOLDER holds Uptime Kuma (package/) and the libraries
// that the providers load (node_modules/). The settings are those of outcome.py, with `webhooks`: a token for each of slack, discord,
// webhook and pushover. It prints the outcomes as outcome.py does.
"use strict";
const Module = require("module");
const path = require("path");

const folder = path.resolve(process.argv[2]);
const settings = JSON.parse(process.argv[3]);
const kuma = path.join(folder, "package");
const library = Module.createRequire(path.join(folder, "node_modules/"));

// The server adds this part of the library when it starts.
library("dayjs").extend(library("dayjs/plugin/utc"));
const stubs = {
	// It loads the whole server and its database; the providers only read a setting with it.
	"../util-server": { setting: async () => "https://status.example.com", setSettings: async () => {} },
	// Later versions load it beside the functions that the providers call.
	jsonata: {},
};
const load = Module._load;
Module._load = (name, ...more) => stubs[name] || load(name, ...more);

const below = `http://${settings.below}/msg`;
const root = `http://${settings.root}`;
// The address of Pushover is fixed in its provider.
library("axios").interceptors.request.use((request) => {
	request.url = request.url.replace("https://api.pushover.net", below);
	return request;
});

const monitor = { id: 7, name: "web", type: "http", url: "https://www.example.com/", hostname: null, port: null, tags: [] };
const beat = { monitorID: 7, status: 0, time: "2026-11-22 06:00:00.123", localDateTime: "2026-11-22 07:00:00", timezone: "Europe/Berlin",
	timezoneOffset: "+01:00", msg: "connect ECONNREFUSED 192.0.2.1:443", ping: null, important: true, duration: 60 };
const up = { ...beat, status: 1, msg: "200 - OK", ping: 42 };

const test = ["Testing"];
const down = ["[web] [🔴 Down] connect ECONNREFUSED 192.0.2.1:443", monitor, beat];
const recovered = ["[web] [✅ Up] 200 - OK", monitor, up];

const ntfy = { ntfyserverurl: below, ntfytopic: "mytopic", ntfyPriority: 4, ntfyAuthenticationMethod: "accessToken",
	ntfyaccesstoken: settings.ntfy, ntfyIcon: "https://example.com/icon.png" };
const gotify = { gotifyserverurl: below, gotifyapplicationToken: settings.gotify, gotifyPriority: 5 };
const { slack, discord, webhook, pushover } = settings.webhooks;
const slackSettings = { slackwebhookURL: `${below}?token=${slack}`, slackusername: "Kuma", slackiconemo: ":bear:", slackchannel: "#alerts",
	slackrichmessage: true };
const discordSettings = { discordWebhookUrl: `${below}?token=${discord}`, discordUsername: "Kuma", discordPrefixMessage: "Look:" };
const webhookSettings = { webhookURL: `${below}?token=${webhook}`, webhookContentType: "json" };
const pushoverSettings = { pushoveruserkey: "anyone", pushoverapptoken: pushover, pushoversounds: "pushover", pushoverpriority: "1",
	pushovertitle: "Uptime Kuma" };

const calls = [
	["ntfy, test", "ntfy", ntfy, test],
	["ntfy, down", "ntfy", ntfy, down],
	["ntfy, up", "ntfy", { ...ntfy, ntfyAuthenticationMethod: "usernamePassword", ntfyusername: "me@example.com",
		ntfypassword: settings.ntfy }, recovered],
	["ntfy without a path", "ntfy", { ...ntfy, ntfyserverurl: root }, test],
	["ntfy, wrong token", "ntfy", { ...ntfy, ntfyaccesstoken: "wrong" }, test],
	["gotify, test", "gotify", gotify, test],
	["gotify, down", "gotify", { ...gotify, gotifyserverurl: below + "/" }, down],
	["gotify without a path", "gotify", { ...gotify, gotifyserverurl: root }, test],
	["gotify, wrong token", "gotify", { ...gotify, gotifyapplicationToken: "wrong" }, test],
	["slack, test", "slack", slackSettings, test],
	["slack, down", "slack", { ...slackSettings, slackchannelnotify: true }, down],
	["discord, test", "discord", discordSettings, test],
	["discord, down", "discord", discordSettings, down],
	["discord, up", "discord", discordSettings, recovered],
	["webhook, test", "webhook", webhookSettings, test],
	["webhook, down", "webhook", webhookSettings, down],
	["webhook, form", "webhook", { ...webhookSettings, webhookContentType: "form-data" }, recovered],
	["webhook, custom body", "webhook", { ...webhookSettings, webhookContentType: "custom", webhookURL: `${below}/user`,
		webhookCustomBody: "{\"subject\": \"{{ monitorJSON.name }}\", \"body\": \"{{ heartbeatJSON.msg }}\"}",
		webhookAdditionalHeaders: `{"Content-Type": "application/json", "Authorization": "Bearer ${settings.plain}"}` }, down],
	["pushover, test", "pushover", pushoverSettings, test],
	["pushover, down", "pushover", { ...pushoverSettings, pushoverdevice: "phone", pushoverttl: 3600, pushoverpriority: "2" }, down],
	["pushover, wrong token", "pushover", { ...pushoverSettings, pushoverapptoken: "wrong" }, test],
];

(async () => {
	const outcomes = [];
	for (const [name, provider, notification, message] of calls) {
		try {
			const Provider = require(path.join(kuma, "server/notification-providers", provider + ".js"));
			await new Provider().send(notification, ...message);
			outcomes.push([name, true]);
		} catch (error) { // the outcome; the next call follows
			outcomes.push([name, error.message]);
		}
	}
	console.log(JSON.stringify(outcomes));
})();

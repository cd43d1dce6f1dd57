// The front end of the lab has three plugins:
// - notices: shows notices of the lab and announcements of the hub as notifications, and reports use of the page to the
//   lab (docs/dev/lab.md, "Activity" and "Announcements");
// - launcher and resolver: remove two delays from the opening of the page.
//
// This file is written by hand in the format of webpack's module federation, so that the build of the image needs no
// Node.js. JupyterLab loads it, calls init() with the packages that it shares, and calls get() for the plugins.
(() => {
  const REFRESH_MILLISECONDS = 60000; // interval of requests for notices
  const REPORT_MILLISECONDS = 60000; // shortest interval of reports of use
  const URGENT_MILLISECONDS = 3000; // the same while the lab warns that it stops because it is idle
  const HUB_MILLISECONDS = 55000; // shortest interval of requests for the hub's announcement
  const LEAVING_MILLISECONDS = 300; // time for a page that is closing or reloading to release its workspace
  const CLAIM_MILLISECONDS = 5000; // interval in which a page without locks renews its claim of a workspace
  const EXPIRY_MILLISECONDS = 150000; // browsers renew the claim of a hidden page once a minute at most
  const PAUSED =
    'An administrator has paused the start of labs. If you stop your lab, you cannot start it until the pause ends.';
  const INPUT = ['keydown', 'pointerdown', 'pointermove', 'wheel'];
  let shared;

  async function load(name) {
    const versions = Object.values(shared[name]);
    const loaded = versions.find(version => version.loaded) || versions[0];
    return (await loaded.get())();
  }

  function format(notice) {
    if (!notice.time) {
      return notice.text;
    }
    const time = new Date(notice.time);
    const today = time.toDateString() === new Date().toDateString();
    const shown = today ? time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : time.toLocaleString();
    return notice.text.replace('{time}', shown);
  }

  // Return the hub's announcement as notices. While spawning is paused, one notice warns the user not to stop the lab.
  function toNotices({ message, level, spawning }) {
    const notices = message ? [{ id: `hub-${level}-${message}`, level, text: message }] : [];
    return spawning === 'stopped' ? [...notices, { id: 'hub-stopped', level: 'warning', text: PAUSED }] : notices;
  }

  async function watch(app) {
    const [{ Notification }, { ServerConnection }, { PageConfig }] = await Promise.all([
      load('@jupyterlab/apputils'),
      load('@jupyterlab/services'),
      load('@jupyterlab/coreutils')
    ]);
    const settings = app.serviceManager.serverSettings;
    const hubPath = PageConfig.getOption('hubAnnouncement'); // empty: the hub has no announcements
    const current = { lab: [], hub: [] }; // the notices of each source
    const shown = new Map(); // id of a notice -> id of its notification
    let urgent = false;
    let reportTime = 0;
    let hubRequestTime = 0;

    function show(source, sourceNotices) {
      current[source] = sourceNotices;
      const notices = [...current.hub, ...current.lab];
      const ids = new Set(notices.map(notice => notice.id));
      urgent = notices.some(notice => notice.use_helps);
      for (const [id, notification] of shown) {
        if (!ids.has(id)) {
          Notification.dismiss(notification);
          shown.delete(id);
        }
      }
      for (const notice of notices.filter(({ id }) => !shown.has(id))) {
        shown.set(notice.id, Notification.emit(format(notice), notice.level, { autoClose: false }));
      }
    }

    async function requestNotices(method) {
      try {
        const answer = await ServerConnection.makeRequest(`${settings.baseUrl}lsstlab/notices`, { method }, settings);
        if (answer.ok) {
          show('lab', await answer.json());
        }
      } catch {
        // The lab does not answer. JupyterLab shows that itself.
      }
    }

    // Only visible pages send this request, because thousands of pages may be open.
    async function requestAnnouncement() {
      if (!hubPath || document.hidden || Date.now() - hubRequestTime < HUB_MILLISECONDS) {
        return;
      }
      hubRequestTime = Date.now();
      try {
        // The request has no cookies. With `no-cache` the browser revalidates its copy, so that the hub can answer 304.
        const options = { credentials: 'omit', cache: 'no-cache' };
        const answer = await fetch(PageConfig.getOption('hubHost') + hubPath, options);
        if (answer.ok) {
          show('hub', toNotices(await answer.json()));
        }
      } catch {
        // The hub does not answer: the page keeps the last announcement.
      }
    }

    function reportUse() {
      if (Date.now() - reportTime > (urgent ? URGENT_MILLISECONDS : REPORT_MILLISECONDS)) {
        reportTime = Date.now();
        requestNotices('POST');
      }
    }

    function refresh() {
      requestNotices('GET');
      requestAnnouncement();
    }

    INPUT.forEach(kind => window.addEventListener(kind, reportUse, { capture: true, passive: true }));
    document.addEventListener('visibilitychange', () => document.hidden || refresh());
    setInterval(refresh, REFRESH_MILLISECONDS);
    reportUse(); // opening the page is use
    requestAnnouncement();
  }

  const notices = {
    id: 'lsstlab:notices',
    description: 'Shows notices of the lab and announcements of the hub, and reports use of the page to the lab.',
    autoStart: true,
    activate: app => {
      app.restored.then(() => watch(app));
    }
  };

  // JupyterLab opens its launcher after it has saved the page's state, half a second after the last change of that
  // state. This plugin opens the launcher 0.8 s earlier if the page has nothing else to show.
  const launcher = {
    id: 'lsstlab:launcher',
    description: 'Opens the launcher without a delay if the page has nothing else to show.',
    autoStart: true,
    activate: ({ restored, shell, commands }) => {
      restored.then(async () => {
        const { PageConfig } = await load('@jupyterlab/coreutils');
        if (!PageConfig.getOption('treePath') && shell.isEmpty('main')) {
          commands.execute('launcher:create');
        }
      });
    }
  };

  // Two pages with the same workspace would overwrite each other's layout, so the second page uses another workspace.
  // JupyterLab asks all pages of the browser for their workspaces and waits a random 0.2 to 0.5 s for answers. A Web
  // Lock shows at once whether a page has the workspace.
  async function createResolver() {
    const [{ IWindowResolver }, { IRouter }, { PageConfig, URLExt }] = await Promise.all([
      load('@jupyterlab/apputils'),
      load('@jupyterlab/application'),
      load('@jupyterlab/coreutils')
    ]);
    const base = PageConfig.getOption('baseUrl');
    const nameLock = workspace => `jupyterlab-workspace:${base}:${workspace}`;

    // Request the lock of the workspace. Return whether this page now has it; the page keeps it until it is closed.
    function lock(workspace) {
      return new Promise((resolve, reject) => {
        const hold = granted => {
          resolve(granted !== null);
          return granted && new Promise(() => {}); // the browser holds the lock until this promise settles: never
        };
        navigator.locks.request(nameLock(workspace), { ifAvailable: true }, hold).catch(reject);
      });
    }

    async function lockWithRetry(workspace) {
      if (await lock(workspace)) {
        return true;
      }
      await new Promise(resolve => setTimeout(resolve, LEAVING_MILLISECONDS));
      return lock(workspace);
    }

    // Claim the workspace in localStorage, for browsers without Web Locks. Return whether this page now has it.
    function claim(workspace) {
      const name = nameLock(workspace);
      const page = Math.random().toString(36);
      const write = () => localStorage.setItem(name, JSON.stringify({ page, time: Date.now() }));
      try {
        const other = JSON.parse(localStorage.getItem(name));
        if (other && Date.now() - other.time < EXPIRY_MILLISECONDS) {
          return false;
        }
        write();
      } catch {
        return true; // the browser forbids localStorage
      }
      setInterval(write, CLAIM_MILLISECONDS);
      window.addEventListener('pagehide', () => localStorage.removeItem(name));
      return true;
    }

    return {
      id: 'lsstlab:resolver',
      description: 'Checks whether another page has the workspace, and opens another workspace if so.',
      autoStart: true,
      provides: IWindowResolver,
      requires: [IRouter],
      activate: async (app, router) => {
        const workspace = PageConfig.getOption('workspace') || PageConfig.defaultWorkspace;
        // Browsers have Web Locks only with TLS or on localhost.
        if (await lockWithRetry(workspace).catch(() => claim(workspace))) {
          return { name: workspace };
        }
        const mode = PageConfig.getOption('mode') === 'multiple-document' ? 'lab' : 'doc';
        const treePath = PageConfig.getOption('treePath');
        const { search, hash } = router.current;
        const another = URLExt.join(base, mode, 'workspaces', `auto-${Math.random().toString(36)[2]}`);
        const path = treePath ? URLExt.join(another, 'tree', URLExt.encodeParts(treePath)) : another;
        const query = URLExt.objectToQueryString({ ...URLExt.queryStringToObject(search || ''), reset: '1' });
        router.navigate(path + query + (hash || ''), { hard: true });
        return new Promise(() => {}); // never resolves: the page reloads, and must not start with this workspace
      }
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.lsstlab = {
    init: scope => {
      shared = scope;
    },
    get: async () => {
      const plugins = [notices, launcher, await createResolver()];
      return () => ({ __esModule: true, default: plugins });
    }
  };
})();

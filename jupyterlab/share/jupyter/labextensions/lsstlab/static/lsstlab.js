// JupyterLab's extension of this project. It has three plugins:
// - notices: shows notices of the lab and announcements of the hub as notifications, and reports use of the page to the
//   lab (docs/dev/lab.md, "Activity" and "Announcements");
// - launcher and resolver: each of these two plugins removes a delay when a user opens the page.
//
// This file is written by hand, not generated from TypeScript, so that the build of the image needs no Node.js. Its
// format is that of webpack's module federation. JupyterLab loads the file, calls init() with JupyterLab's own
// packages, and calls get(), which returns the plugins.
(() => {
  const REFRESH_MILLISECONDS = 60000; // time between two requests for the lab's notices
  const REPORT_MILLISECONDS = 60000; // minimum time between two reports that the user uses the page
  const URGENT_MILLISECONDS = 3000; // minimum time between two such reports while an idle warning is shown
  const HUB_MILLISECONDS = 55000; // minimum time between two requests for the hub's announcement
  const LEAVING_MILLISECONDS = 300; // time in which a page that is closing or reloading releases its workspace
  const CLAIM_MILLISECONDS = 5000; // time after which a page renews its claim to a workspace
  const EXPIRY_MILLISECONDS = 150000; // time after which a claim expires. A hidden page renews its claim once a minute
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

  // Return the hub's announcement as a list of notices. While an administrator has paused the start of labs, the list
  // has an additional notice about the pause.
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
    const hubPath = PageConfig.getOption('hubAnnouncement'); // empty if the hub offers no announcements
    const current = { lab: [], hub: [] }; // the current notices of the lab and of the hub
    const shown = new Map(); // for each notice that the page shows: id of the notice -> id of JupyterLab's notification
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
        // If the lab does not answer, JupyterLab itself shows an error to the user.
      }
    }

    // Only visible pages request the announcement, because thousands of pages may be open and the hub answers them all.
    async function requestAnnouncement() {
      if (!hubPath || document.hidden || Date.now() - hubRequestTime < HUB_MILLISECONDS) {
        return;
      }
      hubRequestTime = Date.now();
      try {
        // `omit`: the request needs no cookies. `no-cache`: the browser asks the hub whether its cached copy is still
        // valid, and the hub can answer with the short status 304.
        const options = { credentials: 'omit', cache: 'no-cache' };
        const answer = await fetch(PageConfig.getOption('hubHost') + hubPath, options);
        if (answer.ok) {
          show('hub', toNotices(await answer.json()));
        }
      } catch {
        // If the hub does not answer, the page still shows the last announcement.
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
    reportUse(); // report that the user has opened the page, which counts as use
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

  // JupyterLab opens its launcher only after it has saved the state of the page. JupyterLab saves the state half a
  // second after the last change of the state. If the page has no other tab, this plugin opens the launcher 0.8 s
  // earlier.
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

  // Two pages with the same workspace would overwrite each other's layout, so the second page must use another
  // workspace. JupyterLab's own resolver asks all open pages for their workspaces, and waits between 0.2 and 0.5 s for
  // answers. This resolver uses a Web Lock instead, which shows without waiting whether another page has the workspace.
  async function createResolver() {
    const [{ IWindowResolver }, { IRouter }, { PageConfig, URLExt }] = await Promise.all([
      load('@jupyterlab/apputils'),
      load('@jupyterlab/application'),
      load('@jupyterlab/coreutils')
    ]);
    const base = PageConfig.getOption('baseUrl');
    const nameLock = workspace => `jupyterlab-workspace:${base}:${workspace}`;

    // Request the lock of a workspace, and return whether this page now has the lock. The page then keeps the lock
    // until the page is closed.
    function lock(workspace) {
      return new Promise((resolve, reject) => {
        const hold = granted => {
          resolve(granted !== null);
          return granted && new Promise(() => {}); // the page keeps the lock, because this promise never settles
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

    // In a browser without Web Locks, claim a workspace with an entry in localStorage. Return false if another page has
    // claimed the workspace.
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
        return true; // the browser forbids localStorage, so the page cannot read the claims of other pages
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
        // Browsers offer Web Locks only to pages with TLS or on localhost. For other pages, lockWithRetry throws.
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
        return new Promise(() => {}); // a promise that never resolves stops the start of this page until it reloads
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

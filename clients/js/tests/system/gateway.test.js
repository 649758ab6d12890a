/** The client against a real gateway, which is started once for all of it. */
import './delivery.js';
import './link.js';
import './recipes.js';

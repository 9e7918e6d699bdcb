package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/upkeep"
)

// cacheInit has the status 1 if others cannot use the cache. Its output can be appended to the site
// file, even several times.
func (t *tool) cacheInit(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.String("site") == "" {
		return fault.New(fault.Usage, "hpc3 cache init needs --site DIR").
			Hint("your own cache is made by the first run")
	}
	road, err := t.road(c)
	if err != nil {
		return err
	}
	s, err := road.Upkeep().InitSite(c.String("site"), upkeep.SiteCacheOptions{
		Owner: c.String("owner"), Group: c.String("group"), Write: c.Bool("write"),
	})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = t.json(s)
	} else {
		t.printSiteCache(s)
	}
	if err == nil && s.Why != "" {
		return fault.New(fault.Cache, "the cache %s is of no use to others: %s", s.Dir, s.Why).
			Hint("%s", s.Mend).Exit(statusNo)
	}
	return err
}

func (t *tool) printSiteCache(s upkeep.SiteCache) {
	for _, dir := range s.Made {
		fmt.Fprintf(t.stdout, "# made: %s\n", fault.OneLine(dir))
	}
	for _, path := range s.Mended {
		fmt.Fprintf(t.stdout, "# others can read it now: %s\n", fault.OneLine(path))
	}
	if s.Configured {
		fmt.Fprintf(t.stdout, "# its table is in %s already\n", fault.OneLine(s.File))
		return
	}
	fmt.Fprintf(t.stdout, "# for %s:\n%s", fault.OneLine(s.File), s.Table)
}
